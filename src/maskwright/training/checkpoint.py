"""Checkpoints: everything a training needs to go on as if it had never stopped, in safetensors and JSON.

A checkpoint is one file, written beside and renamed, so that a kill or a full disk leaves the last good one. Two are
kept: should the newest be damaged by the disk itself, the one before it remains. Knows no loop.
"""

from __future__ import annotations

import contextlib
import json
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save as serialised

from maskwright.core.errors import MaskwrightError
from maskwright.core.files import write_bytes
from maskwright.core.text import plural
from maskwright.models.weights import open_safetensors

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from maskwright.core.plan import Plan

FOLDER = "checkpoint"
MARK, VERSION = "maskwright-checkpoint", "4"
KEEP = 2
_NAME = re.compile(r"step-(\d{8})\.safetensors")


@dataclass
class Checkpoint:
    """The state of a training.

    Attributes:
        tensors: by name, with a prefix: `model.`, `ema.`, `best.`, `optimizer.`, and those of further objectives.
        state: plain types: the schedule, the best score, the history, whatever the loop wants back.
        damaged: newer checkpoints that could not be read.
    """

    tensors: dict[str, torch.Tensor] = field(default_factory=dict)
    state: dict[str, Any] = field(default_factory=dict)
    damaged: tuple[Path, ...] = ()

    def add(self, prefix: str, tensors: dict[str, torch.Tensor]) -> None:
        """Put tensors in under a prefix."""
        self.tensors.update({f"{prefix}.{name}": value for name, value in tensors.items()})

    def part(self, prefix: str) -> dict[str, torch.Tensor]:
        """Return the tensors under a prefix, without it."""
        start = f"{prefix}."
        return {name.removeprefix(start): value for name, value in self.tensors.items() if name.startswith(start)}


def save(run: Path, checkpoint: Checkpoint, step: int) -> Path:
    """Write the checkpoint of `step` atomically, then drop all but the newest two.

    Later steps than this one can only be there when they could not be read: they are dropped too.

    Raises:
        MaskwrightError: the disk is full or read-only; the earlier checkpoints stand.
    """
    path = run / FOLDER / f"step-{step:08d}.safetensors"
    tensors = {name: value.detach().cpu().contiguous() for name, value in checkpoint.tensors.items()}
    metadata = {MARK: VERSION, "state": json.dumps(checkpoint.state)}
    # safetensors' own writer reports a full disk as an error of its own, and keeps a temporary file of its own.
    write_bytes(path, serialised(tensors, metadata))
    paths = _listed(run)
    now = paths.index(path)
    for stale in (*paths[: max(now + 1 - KEEP, 0)], *paths[now + 1 :]):
        stale.unlink(missing_ok=True)
    return path


def load(run: Path) -> Checkpoint | None:
    """Return the newest checkpoint that can be read, or None when there is none yet.

    Raises:
        MaskwrightError: there are checkpoints, and all are damaged, or of another version.
    """
    paths = _listed(run)
    for number, path in enumerate(reversed(paths)):
        with contextlib.suppress(SafetensorError, OSError, KeyError, json.JSONDecodeError):
            return replace(_read(path), damaged=tuple(reversed(paths[len(paths) - number :])))
    if paths:
        raise MaskwrightError(
            f"{run / FOLDER} holds {plural(len(paths), 'checkpoint')}, and none can be read: start a new training "
            f"with `plan_file` {run / 'plan.yaml'} and another `out`"
        )
    return None


def clear(run: Path) -> None:
    """Remove temporary files that a kill left behind."""
    for stray in (run / FOLDER).glob(".step-*"):
        stray.unlink(missing_ok=True)


def essence(plan: Plan) -> dict[str, Any]:
    """Return the decisions of a plan without their reasons, as plain types."""
    return plan.model_dump(mode="json", exclude={"reasons"})


def check_plan(run: Path, checkpoint: Checkpoint, plan: Plan) -> None:
    """Refuse to go on by another plan than the one that the checkpoint was made by.

    Raises:
        MaskwrightError: naming the first section that differs.
    """
    # Read as a plan, so that a key which a newer version has brought stands at its default on both sides.
    before, now = essence(type(plan).model_validate(checkpoint.state["plan"])), essence(plan)
    for name, value in now.items():
        if before.get(name) != value:
            raise MaskwrightError(
                f"{run / 'plan.yaml'} was changed after the training began ({name}: {before.get(name)} became "
                f"{value}): restore it, or start a new training with `plan_file` {run / 'plan.yaml'} "
                "and another `out`"
            )


def differences(checkpoint: Checkpoint) -> list[str]:
    """Say what keeps the rest of a training from ending in the very bits that it would have ended in."""
    found = [f"{path} is damaged: training continues from the previous checkpoint" for path in checkpoint.damaged]
    before, now = checkpoint.state["threads"], torch.get_num_threads()
    if before != now:
        found.append(
            f"training began with {before} threads and continues with {now}: sums are rounded differently, so the "
            f"weights will differ in their last bits; OMP_NUM_THREADS={before} avoids that"
        )
    return found


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """Flatten an optimiser's state to tensors named `<weight number>.<name>`."""
    state = optimizer.state_dict()["state"]
    return {
        f"{number}.{name}": value if isinstance(value, torch.Tensor) else torch.tensor(value)
        for number, entries in state.items()
        for name, value in entries.items()
        if value is not None
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, torch.Tensor]) -> None:
    """Put back what `optimizer_tensors` took out, each value in the memory format of its weight.

    torch's fused optimisers walk through the memory of a weight and its state side by side, whatever their strides.
    """
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in tensors.items():
        number, name = key.split(".", 1)
        weight = weights[int(number)]
        alike = value.shape == weight.shape
        state.setdefault(int(number), {})[name] = torch.empty_like(weight).copy_(value) if alike else value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def restore_model(model: nn.Module, tensors: dict[str, torch.Tensor]) -> None:
    """Put weights back, exactly those and no others."""
    model.load_state_dict(tensors, strict=True)


def _listed(run: Path) -> list[Path]:
    folder = run / FOLDER
    return sorted(path for path in folder.glob("step-*.safetensors") if _NAME.fullmatch(path.name))


def _read(path: Path) -> Checkpoint:
    with open_safetensors(path) as file:
        metadata = file.metadata() or {}
        if metadata[MARK] != VERSION:
            raise MaskwrightError(
                f"{path} is a checkpoint of format {metadata[MARK]}, and this version reads format {VERSION}: continue "
                "with the version that began the training, or start a new training with another `out`"
            )
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    return Checkpoint(tensors, json.loads(metadata["state"]))
