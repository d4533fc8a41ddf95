"""Evaluate a trained model on any data set with the same classes, and report. Prints nothing."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from maskwright.core.errors import MaskwrightError
from maskwright.core.records import SPLITS
from maskwright.data.formats import read_dataset
from maskwright.inference.predictor import Predictor
from maskwright.report.content import ReportData
from maskwright.report.page import write_report
from maskwright.workflows import judging, known_split
from maskwright.workflows import run as folder
from maskwright.workflows.request import Setup

if TYPE_CHECKING:
    from pathlib import Path

    from maskwright.core.events import OnProgress
    from maskwright.core.records import Dataset, Record
    from maskwright.data.formats import ReadOptions
    from maskwright.metrics.scores import Scores

AS_IT_IS = Setup()


@dataclass(frozen=True)
class EvaluateResult:
    """What an evaluation found.

    Attributes:
        scores: on the records judged.
        report: the page.
        notes: what one should know of the images judged: files left out, images that the training did not know.
        gain: what the dense CRF changed, if there is one: measure -> `without`, `with`, `gain`.
    """

    scores: Scores
    report: Path
    notes: tuple[str, ...] = ()
    gain: dict[str, dict[str, float | None]] | None = None


def evaluate(
    run: Path,
    root: Path,
    split: str = "test",
    *,
    read: ReadOptions | None = None,
    out: Path | None = None,
    setup: Setup = AS_IT_IS,
    on_progress: OnProgress | None = None,
) -> EvaluateResult:
    """Score a trained model on one part of a data set.

    Args:
        run: the run folder, or a model file.
        root: folder (or file) of images and masks.
        split: `train`, `val`, `test`, or `all` for every labelled image.
        read: how to read the data; None for how the training read its own.
        out: folder for `metrics-SPLIT.json` and `report-SPLIT.html`; None for the run folder.
        setup: device and output stride.
        on_progress: called with (images done, images in all).

    Raises:
        MaskwrightError: no model, no such part, other classes than the model's, or a stride that it cannot have.
    """
    case = opened(run, root, split, read, setup)
    scores = case.judged(case.predictor, on_progress)
    return case.written(out, scores, case.predictor)


@dataclass(frozen=True)
class Case:
    """A model, and the data that shall judge it.

    Attributes:
        run: the run folder, or a model file.
        predictor: the model.
        dataset: all of the data, its split as the training had it.
        records: those that judge.
        split: the part that they are.
        notes: what one should know of the images judged; it grows.
    """

    run: Path
    predictor: Predictor
    dataset: Dataset
    records: tuple[Record, ...]
    split: str
    notes: list[str]

    def judged(self, predictor: Predictor, on_progress: OnProgress | None) -> Scores:
        """Score the model, or the same one with something behind it."""

        def missed(_record: Record, error: MaskwrightError) -> None:
            if judging.left_out(error) not in self.notes:
                self.notes.append(judging.left_out(error))

        return judging.judge(predictor, self.dataset, self.records, on_progress=on_progress, on_fault=missed)

    def written(
        self, out: Path | None, scores: Scores, predictor: Predictor, more: dict[str, Any] | None = None
    ) -> EvaluateResult:
        """Write metrics and report; what there is `more` goes into the metrics, and `-crf` into the files' names."""
        out = out or (self.run if self.run.is_dir() else self.run.parent)
        name = self.split if predictor.crf is None else f"{self.split}-crf"
        report = out / f"report-{name}.html"
        stride = predictor.card.predict.output_stride
        metrics = {"split": self.split, "data": str(self.dataset.root), "output_stride": stride, "notes": self.notes}
        metrics |= more or {}
        folder.write_metrics(out, {**metrics, "scores": scores.to_json()}, f"metrics-{name}.json")
        write_report(
            report,
            ReportData(
                title=f"{self.run.name} on {self.dataset.root.resolve().name}",
                scores=scores,
                classes=self.dataset.classes,
                split=self.split,
                examples=judging.examples(predictor, self.dataset, self.records, scores),
                environment=folder.environment(self.dataset),
                notes=self.notes,
            ),
        )
        return EvaluateResult(scores, report, tuple(self.notes))


def opened(run: Path, root: Path, split: str, read: ReadOptions | None, setup: Setup) -> Case:
    """Load the model and the part of the data that shall judge it.

    Raises:
        MaskwrightError: no model, no such part, other classes than the model's, or a stride that it cannot have.
    """
    if split not in (*SPLITS, "all"):
        raise MaskwrightError(f"--split {split}: it is one of {', '.join(SPLITS)}, or all")
    predictor = Predictor.load(run, setup.device, output_stride=setup.output_stride)
    home = run if run.is_dir() else run.parent
    dataset, notes = known_split.like_training(home, read_dataset(root, read or known_split.reading(home)))
    check_classes(predictor, dataset)
    records = tuple(record for record in dataset.records if record.annotation and split in {"all", record.split})
    if not records:
        raise MaskwrightError(f"{root} has no labelled image in its {split} part: choose another with --split")
    return Case(run, predictor, dataset, records, split, notes)


def check_classes(predictor: Predictor, dataset: Dataset) -> None:
    """Refuse data whose classes are not the model's: the numbers would mean nothing.

    Raises:
        MaskwrightError: with both lists.
    """
    mine, theirs = predictor.classes.names, dataset.classes.names
    if mine != theirs:
        raise MaskwrightError(
            f"{dataset.root} has the classes {', '.join(theirs)}, and the model knows {', '.join(mine)}: "
            "name them alike, in the same order, with --classes FILE"
        )


def read_history(path: Path) -> list[dict[str, float | None]]:
    """Read `history.csv`; an empty cell is None."""
    with path.open(encoding="utf-8", newline="") as file:
        return [{name: float(cell) if cell else None for name, cell in row.items()} for row in csv.DictReader(file)]
