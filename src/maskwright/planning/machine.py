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
    """

    device: str
    name: str
    cores: int
    memory_bytes: int
    bfloat16: bool


def probe(device: str = "auto") -> Machine:
    """Look at the machine.

    Args:
        device: one of `DEVICES`; `auto` takes CUDA, then Apple's MPS, then the CPU.

    Raises:
        MaskwrightError: the device asked for is not there.
    """
    if device not in DEVICES:
        raise MaskwrightError(f"--device {device}: it is one of {', '.join(DEVICES)}")
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if device == "auto":
        device = next(name for name in ("cuda", "mps", "cpu") if there[name])
    if not there[device]:
        raise MaskwrightError(f"--device {device}: this machine has none that PyTorch can use; try --device cpu")
    cores, memory = resources.cores(), resources.free_memory()
    if device == "cuda":
        free, _total = torch.cuda.mem_get_info()
        return Machine(device, torch.cuda.get_device_name(), cores, free, torch.cuda.is_bf16_supported())
    return Machine(
        device, platform.processor() or platform.machine(), cores, memory, device == "cpu" and _cpu_bfloat16()
    )


def _cpu_bfloat16() -> bool:
    """Tell from the kernel's list of processor flags; where there is none (macOS, Windows) say no."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags or "bf16" in flags.split()
