"""Export: write a trained model for another runtime, and refuse if it does not agree with the model. Prints nothing."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from maskwright.core import resources
from maskwright.core.channels import emits_objects
from maskwright.core.errors import MaskwrightError
from maskwright.core.paths import EXPORTS, MODEL_FILE
from maskwright.exporting.formats import Precision
from maskwright.report.exports import write_exports
from maskwright.workflows.evaluate_parts.evaluation import Evaluation, opened
from maskwright.workflows.export_parts.attempt import Attempts, real_tiles
from maskwright.workflows.export_parts.comparison import Comparison, table_of
from maskwright.workflows.export_parts.folder import check_out, new_folder
from maskwright.workflows.request import EvaluateRequest
from maskwright.workflows.runs import run_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from maskwright.core.events import OnEvent
    from maskwright.core.records import Record
    from maskwright.exporting.parity import Parity
    from maskwright.models.bundle import Card
    from maskwright.report.exports import ExportTable
    from maskwright.workflows.export_request import ExportRequest

TILES = 100
"""Real tiles that ranges of int8 are taken from."""
ROUNDS = 4
"""Attempts at int8; before each but the first, the layers that hurt most return to floating point."""


@dataclass(frozen=True)
class ExportResult:
    """Result of an export.

    Attributes:
        folder: that holds it; `predict` and `evaluate` accept it like a run.
        file: the file in it to open.
        parity: how it compares with the trained model.
        kept: modules that stay in floating point, because int8 hurt there.
        table: all exports of the run, timed on this machine; None for an export outside the run.
        notes: remarks on the images that were used, and on the machine.
    """

    folder: Path
    file: Path
    parity: Parity
    kept: tuple[str, ...]
    table: ExportTable | None
    notes: tuple[str, ...]


def export(run: Path, request: ExportRequest, on_event: OnEvent | None = None) -> ExportResult:
    """Write a trained model for another runtime.

    Args:
        run: the run folder.
        request: what to write.
        on_event: called when a stage begins: `write` and `compare`, for int8 `layers` in between, then `time`.

    Raises:
        MaskwrightError: no model, no held-out images, a network that cannot be exported, a missing package, or an
            export that does not agree with the model. Nothing is written then.
    """
    out = (request.out or run / EXPORTS / request.name).resolve()
    check_out(out)
    evaluation = _held_out(run, request.data)
    _check_card(evaluation.predictor.card)
    with new_folder(out) as folder:
        attempts = Attempts(evaluation, request.to, folder, on_event)
        comparison, file = _agreeing(attempts, request)
        for name in (run_folder.SPLIT, run_folder.DATA):  # so that `evaluate` knows the images of the training
            if (run / name).exists():
                shutil.copyfile(run / name, folder / name)
        comparison.write(folder, run / MODEL_FILE)
    notes, table = list(evaluation.notes), None
    if request.int8 and not resources.multiplies_int8():
        notes.append(
            "this processor does not multiply 8-bit integers in hardware (VNNI), so int8 gains little here: measure it "
            "where the model will run"
        )
    if out.parent == (run / EXPORTS).resolve():
        attempts.tell("time", "the model and all of its exports, in turns")
        table = table_of(run, comparison.parity, percent=attempts.percent)
        report = run / run_folder.REPORT
        if not report.is_file() or not write_exports(report, table):
            notes.append(f"{report} has no place for the table of exports: an earlier version wrote it, or it is gone")
    return ExportResult(out, out / file.name, comparison.parity, tuple(comparison.kept), table, tuple(notes))


def _agreeing(attempts: Attempts, request: ExportRequest) -> tuple[Comparison, Path]:
    """Write exports until one agrees with the model; return how it compares, and its file.

    Raises:
        MaskwrightError: none agrees.
    """
    evaluation, tiles = attempts.evaluation, None
    if request.int8:
        tiles = real_tiles(evaluation.predictor, _validation(evaluation), TILES)
    kept: tuple[str, ...] = ()
    for number in range(1, ROUNDS + 1):
        parity, file = attempts.run(Precision(request.half, tiles, attempts.nodes(kept)))
        fault = parity.fault(request.allow_loss)
        if fault is None:
            break
        hurt = [] if request.to == "torch" else attempts.worst(file, kept)
        if tiles is None or not hurt or number == ROUNDS:
            raise _refusal(request, fault, hurt)
        kept = (*kept, *(module for module, _ in hurt))
    rounded = None
    if request.to == "openvino" and resources.multiplies_bfloat16():
        rounded = attempts.compared(file, fast=True)
        if rounded.fault(request.allow_loss) is not None:
            rounded = None
    return Comparison(parity, "int8" if request.int8 else "float32", kept, rounded), file


def _held_out(run: Path, data: Path | None) -> Evaluation:
    """Open the model and images that it was neither trained nor, where there is a test part, chosen on."""
    if not run.is_dir() or not (run / MODEL_FILE).is_file():
        raise MaskwrightError(f"{run} is not the folder of a finished run: an export starts from one")
    root = data or Path(run_folder.read_json(run / run_folder.DATA)["root"])
    if not root.exists():
        raise MaskwrightError(f"the training data {root} is not there any more: give its place with `data`", "data")
    evaluation = opened(run, root, EvaluateRequest("all", device="cpu"))
    for split in ("test", "val"):
        records = tuple(record for record in evaluation.records if record.split == split)
        if records:
            notes = [*evaluation.notes, f"compared on images of the {split} part"]
            return replace(evaluation, records=records, notes=notes)
    raise MaskwrightError(
        f"{root} has no labelled test or validation image to compare the export on: label some", "data"
    )


def _check_card(card: Card) -> None:
    """Refuse a network that emits objects, which no exported graph can.

    Raises:
        MaskwrightError: it does.
    """
    if emits_objects(card.channels):
        raise MaskwrightError(
            f"{card.model.name} emits objects: it chooses among boxes or queries in steps that the exported graph does "
            "not have, and only networks that emit maps can be exported. Train one of them, or predict with the model "
            "as it is"
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


def _refusal(request: ExportRequest, fault: str, hurt: Sequence[tuple[str, float]]) -> MaskwrightError:
    where = ", ".join(f"{module} ({100 * error:.1f} %)" for module, error in hurt)
    layers = f"; the layers that differ most: {where}" if hurt else ""
    cure = "export without int8, or allow more with `allow_loss`" if request.int8 else "report it, with the plan"
    return MaskwrightError(f"{fault}{layers}. Nothing was written: {cure}")
