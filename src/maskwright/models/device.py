"""The device a network runs on, and its precision. Knows no network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from maskwright.core.errors import MaskwrightError

if TYPE_CHECKING:
    from maskwright.core.plan import Precision

_DTYPES = {"32-true": torch.float32, "bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}


def resolve_device(name: str | torch.device = "auto") -> torch.device:
    """Turn `auto`, `cpu`, `cuda`, `cuda:1` or `mps` into an available device.

    Raises:
        MaskwrightError: an unknown device, or one that this machine (or this build of PyTorch) lacks.
    """
    if isinstance(name, torch.device):
        return name
    if name == "auto":
        return torch.device(next((kind for kind in ("cuda", "mps") if _present(kind)), "cpu"))
    try:
        device = torch.device(name)
    except RuntimeError:
        raise MaskwrightError(f"unknown device {name!r}: give auto, cpu, cuda, cuda:N or mps", "device") from None
    if device.type not in {"cpu", "cuda", "mps"}:
        raise MaskwrightError(f"maskwright does not run on {name!r}: give auto, cpu, cuda, cuda:N or mps", "device")
    if not _present(device.type):
        raise MaskwrightError(f"PyTorch finds no {device.type} device here: use cpu or auto", "device")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise MaskwrightError(
            f"the device {name} does not exist: this machine has {torch.cuda.device_count()}, counted from 0", "device"
        )
    return device


def autocast(device: torch.device, precision: Precision) -> torch.autocast:
    """Return the autocast context that Fabric uses for this precision."""
    return torch.autocast(device.type, _DTYPES[precision], enabled=precision != "32-true")


def _present(kind: str) -> bool:
    if kind == "cuda":
        return torch.cuda.is_available()
    return kind == "cpu" or torch.backends.mps.is_available()
