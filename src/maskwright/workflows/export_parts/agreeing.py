"""Writes exports until one agrees with the trained model, int8 with ever more of the network in floating point.

It decides what is handed over, and prints nothing.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from maskwright.core import resources
from maskwright.core.errors import MaskwrightError
from maskwright.exporting.formats import Precision
from maskwright.exporting.sensitivity import costliest, nodes_of
from maskwright.workflows.export_parts.attempt import real_tiles
from maskwright.workflows.export_parts.comparison import Comparison

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from maskwright.core.records import Record
    from maskwright.exporting.sensitivity import Part
    from maskwright.workflows.evaluate_parts.evaluation import Evaluation
    from maskwright.workflows.export_parts.attempt import Attempts
    from maskwright.workflows.export_request import ExportRequest

TILES = 48
"""Real tiles that ranges of int8 are taken from."""
SHARES = (0.0, 0.5, 0.75, 0.9)
"""Of the error of int8, what the parts that stay in floating point cause, in each attempt."""
NAMED = 3
"""Layers that a refusal names."""
NOTICED = 1e-3
"""Relative error of a layer below which it is not to blame."""


def agreeing(attempts: Attempts, request: ExportRequest) -> tuple[Comparison, Path]:
    """Write exports until one agrees with the model; return how it compares, and its file.

    Raises:
        MaskwrightError: none agrees.
    """
    comparison, file = _int8(attempts, request) if request.int8 else _exact(attempts, request)
    if request.to == "openvino" and resources.multiplies_bfloat16():
        rounded = attempts.compared(file, fast=True)
        if rounded.fault(request.allow_loss, rounded=request.int8) is None:
            comparison = replace(comparison, bfloat16=rounded)
    return comparison, file


def _exact(attempts: Attempts, request: ExportRequest) -> tuple[Comparison, Path]:
    parity, file = attempts.run(Precision(request.half))
    fault = parity.fault(request.allow_loss, exact=not request.half)
    if fault is not None:
        if request.half and parity.agreement.fault(exact=False) is None:
            raise MaskwrightError(f"{fault}. Nothing was written: export without half, or allow more with `allow_loss`")
        raise _broken(fault, [] if request.to == "torch" else attempts.worst(file))
    return Comparison(parity, "float32"), file


def _int8(attempts: Attempts, request: ExportRequest) -> tuple[Comparison, Path]:
    """Return the first int8 export whose score is good enough: all of the network, or less and less of it."""
    attempts.exporter.check_int8()
    tiles = real_tiles(attempts.trained, _validation(attempts.evaluation), TILES)
    floating = _exact(attempts, replace(request, half=False))[0].parity.speedup  # rounding would hide a fault
    attempts.exporter.prepare_int8()
    parts: list[Part] = []
    tried: set[tuple[str, ...]] = set()
    for share in SHARES:
        if share and not parts:
            parts = attempts.parts(tiles)
        chosen = costliest(parts, share)
        kept = tuple(part.module for part in chosen)
        if kept in tried:
            continue
        tried.add(kept)
        nodes = [*attempts.coordinates, *nodes_of(chosen, parts, attempts.exporter.modules)]
        parity, file = attempts.run(Precision(request.half, tiles, nodes))
        fault = parity.fault(request.allow_loss, rounded=True)
        if fault is None:
            return Comparison(parity, "int8", kept, floating=floating), file
    parts = parts or attempts.parts(tiles)
    whole = sum(part.error for part in parts)
    worst = sorted(parts, key=lambda part: -part.error)[:NAMED]
    where = ", ".join(f"{part.module} ({100 * part.error / whole:.0f} % of the error)" for part in worst)
    raise MaskwrightError(
        f"{fault}, with {len(kept)} of {len(parts)} parts of the network in floating point; int8 hurts most in "
        f"{where}. Nothing was written: export without int8, or allow more with `allow_loss`"
    )


def _validation(evaluation: Evaluation) -> Sequence[Record]:
    """Return the validation images: int8 takes its ranges from real images or not at all."""
    records = [record for record in evaluation.dataset.records if record.split == "val"]
    if not records:
        raise MaskwrightError(
            f"int8 takes its ranges from real validation images, and {evaluation.dataset.root} has none: give the data "
            "of the training with `data`, or export without int8",
            "int8",
        )
    return records


def _broken(fault: str, hurt: Sequence[tuple[str, float]]) -> MaskwrightError:
    """Return the refusal of an export in floating point, which must be a copy of the model."""
    where = ", ".join(f"{module} ({100 * error:.1f} %)" for module, error in hurt if error >= NOTICED)
    layers = f"; the layers that differ most: {where}" if where else ""
    if hurt and not where:
        layers = "; no layer differs, so the fault is in what is done with their results"
    return MaskwrightError(f"{fault}{layers}. Nothing was written: report it, with the plan")
