"""Device and processes of a training, by Lightning Fabric: one process, or as many as `torchrun` started."""

from __future__ import annotations

import os
from logging import getLogger
from typing import TYPE_CHECKING

import torch
from lightning_fabric import Fabric

from maskwright.core.errors import MaskwrightError

if TYPE_CHECKING:
    from maskwright.core.plan import Precision


def alone(place: torch.device, precision: Precision) -> Fabric:
    """Return a Fabric of this process alone, on one device."""
    getLogger("lightning_fabric").setLevel("WARNING")
    devices = 1 if place.index is None else [place.index]
    return Fabric(accelerator=place.type, devices=devices, precision=precision)


def together(place: torch.device, precision: Precision) -> Fabric:
    """Return a Fabric of all processes that `torchrun` started, each on its own device; of this one alone without it.

    Raises:
        MaskwrightError: torchrun, and a device that is the same for all.
    """
    if not torch.distributed.is_torchelastic_launched():
        return alone(place, precision)
    getLogger("lightning_fabric").setLevel("WARNING")
    if place.index is not None:
        raise MaskwrightError(
            f"the device {place} is one device, but torchrun gives each process its own: use {place.type}, and "
            "CUDA_VISIBLE_DEVICES to choose among them",
            "device",
        )
    here, everywhere = int(os.environ["LOCAL_WORLD_SIZE"]), int(os.environ["WORLD_SIZE"])
    return Fabric(
        accelerator=place.type, devices=here, num_nodes=everywhere // here, strategy="ddp", precision=precision
    )


def is_first() -> bool:
    """Say whether this is the only process, or the first of those that `torchrun` started."""
    return not torch.distributed.is_torchelastic_launched() or os.environ["RANK"] == "0"
