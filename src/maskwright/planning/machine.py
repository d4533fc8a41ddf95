"""What this machine can do: device, cores, memory, low precision. Decides nothing."""

from __future__ import annotations

import platform
from dataclasses import dataclass

import torch

from maskwright.core import resources
from maskwright.models.device import resolve_device


@dataclass(frozen=True)
class Machine:
    """What planning needs to know about a machine.

    Attributes:
        device: `cpu`, `cuda` or `mps`.
        name: of the processor, for display.
        cores: that this process may use.
        memory_bytes: free memory, of the GPU if there is one, else of the machine.
        bfloat16: whether the device multiplies bfloat16 in hardware.
        index: which of several devices of this kind, or None for the first.
    """

    device: str
    name: str
    cores: int
    memory_bytes: int
    bfloat16: bool
    index: int | None = None

    @property
    def place(self) -> str:
        """The name of the device in torch: `cpu`, `cuda`, `cuda:1`."""
        return self.device if self.index is None else f"{self.device}:{self.index}"


def probe(device: str = "auto") -> Machine:
    """Detect what the machine can do.

    Args:
        device: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`; `auto` prefers CUDA, then Apple's MPS, then the CPU.

    Raises:
        MaskwrightError: the machine does not have this device.
    """
    found = resolve_device(device)
    cores = resources.cores()
    if found.type == "cuda":
        free, _total = torch.cuda.mem_get_info(found.index)
        name = torch.cuda.get_device_name(found.index)
        return Machine("cuda", name, cores, free, torch.cuda.is_bf16_supported(), found.index)
    name, bfloat16 = platform.processor() or platform.machine(), found.type == "cpu" and resources.multiplies_bfloat16()
    return Machine(found.type, name, cores, resources.free_memory(), bfloat16)
