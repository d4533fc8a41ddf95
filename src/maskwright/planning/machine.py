"""What the machine at hand can do: device, cores, memory, low precision. Decides nothing."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path

import torch

from maskwright.core import resources
from maskwright.core.errors import MaskwrightError

DEVICES = ("auto", "cpu", "cuda", "mps")


@dataclass(frozen=True)
class Machine:
    """One machine, as far as a plan cares.

    Attributes:
        device: `cpu`, `cuda` or `mps`.
        name: of the processor, for people.
        cores: that this process may use.
        memory_bytes: free for us: on the device when there is one, else of the machine.
        bfloat16: whether the device multiplies bfloat16 in hardware.
        index: which of several devices of the kind, or None for the first.
    """

    device: str
    name: str
    cores: int
    memory_bytes: int
    bfloat16: bool
    index: int | None = None

    @property
    def place(self) -> str:
        """Return the device as torch names it: `cpu`, `cuda`, `cuda:1`."""
        return self.device if self.index is None else f"{self.device}:{self.index}"


def probe(device: str = "auto") -> Machine:
    """Look at the machine.

    Args:
        device: one of `DEVICES`, or `cuda:N`; `auto` takes CUDA, then Apple's MPS, then the CPU.

    Raises:
        MaskwrightError: the device asked for is not there.
    """
    wanted, colon, number = device.partition(":")
    if wanted not in DEVICES or (colon and not (wanted == "cuda" and number.isdecimal())):
        raise MaskwrightError(f"--device {device}: it is one of {', '.join(DEVICES)}, or cuda:N for one of several")
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    kind = next(name for name in ("cuda", "mps", "cpu") if there[name]) if wanted == "auto" else wanted
    if not there[kind]:
        raise MaskwrightError(f"--device {device}: this machine has none that PyTorch can use; try --device cpu")
    cores, memory = resources.cores(), resources.free_memory()
    if kind == "cuda":
        return _cuda(cores, int(number) if number else None)
    return Machine(kind, platform.processor() or platform.machine(), cores, memory, kind == "cpu" and _cpu_bfloat16())


def _cuda(cores: int, index: int | None) -> Machine:
    if index is not None and index >= torch.cuda.device_count():
        raise MaskwrightError(
            f"--device cuda:{index}: this machine has {torch.cuda.device_count()} of them, counted from 0"
        )
    free, _total = torch.cuda.mem_get_info(index)
    return Machine("cuda", torch.cuda.get_device_name(index), cores, free, torch.cuda.is_bf16_supported(), index)


def _cpu_bfloat16() -> bool:
    """Tell from the kernel's list of processor flags; where there is none (macOS, Windows) say no."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags or "bf16" in flags.split()
