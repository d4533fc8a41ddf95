"""Export: write a trained model for another runtime, and refuse if it does not agree with the model. Prints nothing."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from maskwright.core import resources
from maskwright.core.errors import MaskwrightError
from maskwright.core.paths import EXPORTS, MODEL_FILE
from maskwright.report.exports import write_exports
from maskwright.workflows.evaluate_parts.evaluation import Evaluation, opened
from maskwright.workflows.export_parts.agreeing import agreeing
from maskwright.workflows.export_parts.attempt import Attempts
from maskwright.workflows.export_parts.comparison import table_of
from maskwright.workflows.export_parts.folder import check_out, new_folder
from maskwright.workflows.request import EvaluateRequest
from maskwright.workflows.runs import run_folder

if TYPE_CHECKING:
    from maskwright.core.events import OnEvent
    from maskwright.exporting.parity import Parity
    from maskwright.report.exports import ExportTable
    from maskwright.workflows.export_request import ExportRequest


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
    if not (run / MODEL_FILE).is_file():
        raise MaskwrightError(
            f"{run} is not the folder of a finished run, and an export starts from one: name its folder"
        )
    out = (request.out or run / EXPORTS / request.name).resolve()
    check_out(out)
    evaluation = _held_out(run, request.data)
    with new_folder(out) as folder:
        attempts = Attempts(evaluation, request.to, folder, on_event)
        comparison, file = agreeing(attempts, request)
        for name in (run_folder.SPLIT, run_folder.DATA):  # so that `evaluate` knows the images of the training
            if (run / name).exists():
                shutil.copyfile(run / name, folder / name)
        comparison.write(file, run / MODEL_FILE)
    notes, table = list(evaluation.notes), None
    if comparison.floating is not None:
        notes.append(
            f"here int8 is {comparison.parity.speedup:.2f} times as fast as the trained model, and the same export in "
            f"float32 {comparison.floating:.2f} times"
        )
    if request.int8 and not resources.multiplies_int8():
        notes.append(
            "this processor does not multiply 8-bit integers in hardware (VNNI), so int8 gains little here: measure it "
            "where the model will run"
        )
    if out.parent == (run / EXPORTS).resolve():
        attempts.tell("time", "the model and all of its exports, in turns")
        table = table_of(run, comparison.parity, attempts.tile, percent=attempts.percent)
        report = run / run_folder.REPORT
        if not report.is_file() or not write_exports(report, table):
            notes.append(f"{report} has no place for the table of exports: an earlier version wrote it, or it is gone")
    return ExportResult(out, out / file.name, comparison.parity, tuple(comparison.kept), table, tuple(notes))


def _held_out(run: Path, data: Path | None) -> Evaluation:
    """Open the model and images that it was neither trained nor, where there is a test part, chosen on."""
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
