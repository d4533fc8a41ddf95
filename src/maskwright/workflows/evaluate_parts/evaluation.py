"""Opens a trained model and the data to score it on, scores it, and writes the results. Prints nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from maskwright.core.errors import MaskwrightError
from maskwright.core.records import SPLITS
from maskwright.data.formats import read_dataset
from maskwright.inference.predictor import Predictor
from maskwright.report.content import ReportData
from maskwright.report.page import write_report
from maskwright.workflows.evaluate_parts import scoring
from maskwright.workflows.runs import provenance, run_folder, split_lookup
from maskwright.workflows.runs.finished import unfinished

if TYPE_CHECKING:
    from pathlib import Path

    from maskwright.core.events import OnProgress
    from maskwright.core.records import Dataset, Record
    from maskwright.metrics.scores import Scores
    from maskwright.report.content import Gain
    from maskwright.workflows.request import EvaluateRequest


@dataclass(frozen=True)
class EvaluateResult:
    """Result of an evaluation.

    Attributes:
        scores: of the model.
        report: path of the HTML page.
        notes: remarks on the scored images: files left out, images that the training did not know.
        gain: what a postprocessor changed, if there is one: metric -> `without`, `with`, `gain`.
    """

    scores: Scores
    report: Path
    notes: tuple[str, ...] = ()
    gain: Gain | None = None


@dataclass(frozen=True)
class Evaluation:
    """A model, and the data that it is scored on.

    Attributes:
        run: the run folder, or a model file.
        predictor: the model.
        dataset: all of the data, with the split that the training used.
        records: those to score.
        request: what was asked for.
        notes: remarks on the scored images; scoring adds to them.
    """

    run: Path
    predictor: Predictor
    dataset: Dataset
    records: tuple[Record, ...]
    request: EvaluateRequest
    notes: list[str]

    def scored(self, predictor: Predictor, on_progress: OnProgress | None) -> Scores:
        """Score the model, or the same one with a postprocessor.

        Raises:
            MaskwrightError: nothing is labelled, or no image can be read.
        """

        def missed(_record: Record, error: MaskwrightError) -> None:
            if scoring.left_out(error) not in self.notes:
                self.notes.append(scoring.left_out(error))

        scores = scoring.score(predictor, self.dataset, self.records, on_progress=on_progress, on_fault=missed)
        if scores.score.value is None:
            missing = "labelled pixel" if scores.edges is None else "edge"
            raise MaskwrightError(
                f"{self.dataset.root} has no {missing} in its {self.request.split} split, so there is nothing to "
                "score: label some, or choose another `split`"
            )
        return scores

    @property
    def out(self) -> Path:
        """The folder for the results."""
        return self.request.out or _home(self.run)

    def written(
        self, scores: Scores, predictor: Predictor, more: dict[str, Any] | None = None, gain: Gain | None = None
    ) -> EvaluateResult:
        """Write metrics and report; `more` goes into the metrics, and the postprocessor into the files' names."""
        split, out = self.request.split, self.out
        name = split if self.request.postprocess is None else f"{split}-{self.request.postprocess}"
        report = out / f"report-{name}.html"
        stride = predictor.card.predict.output_stride
        metrics = {"split": split, "data": str(self.dataset.root), "output_stride": stride, "notes": self.notes}
        metrics |= more or {}
        run_folder.write_metrics(out, {**metrics, "scores": scores.to_json()}, f"metrics-{name}.json")
        write_report(
            report,
            ReportData(
                title=f"{self.run.name} on {self.dataset.root.resolve().name}",
                scores=scores,
                classes=self.dataset.classes,
                split=split,
                examples=scoring.examples(predictor, self.dataset, self.records, scores),
                environment=provenance.environment(self.dataset),
                notes=self.notes,
                gain=gain or {},
                postprocessor=predictor.postprocessor.label if predictor.postprocessor else None,
            ),
        )
        return EvaluateResult(scores, report, tuple(self.notes), gain)


def opened(run: Path, root: Path, request: EvaluateRequest) -> Evaluation:
    """Load the model and the split of the data that it is scored on.

    Raises:
        MaskwrightError: no model, no such split, other classes than the model's, or a stride that it cannot have.
    """
    split, home = request.split, _home(run)
    if split not in (*SPLITS, "all"):
        raise MaskwrightError(f"`split` is {split!r}, and it must be one of {', '.join(SPLITS)}, or all")
    predictor = Predictor.load(run, request.device, output_stride=request.output_stride, engine=request.engine)
    options = (request.read or split_lookup.reading(home)).for_task(predictor.task.annotation)
    if options.nodata is None:
        options = replace(options, nodata=predictor.card.nodata)
    dataset, notes = split_lookup.like_training(home, read_dataset(root, options))
    dataset = like_model(predictor, dataset)
    predictor.task.check(dataset)
    records = tuple(record for record in dataset.records if record.annotation and split in {"all", record.split})
    if not records:
        raise MaskwrightError(f"{root} has no labelled image in its {split} split: choose another `split`")
    records, more = split_lookup.with_groups(home, records)
    notes += more
    if (left := unfinished(run)) is not None:
        notes.insert(0, left)
    return Evaluation(run, predictor, dataset, records, request, notes)


def _home(run: Path) -> Path:
    """Return the run folder of a model."""
    return run if run.is_dir() else run.parent


def like_model(predictor: Predictor, dataset: Dataset) -> Dataset:
    """Return the data as the model's task sees them, and refuse other classes: the numbers would mean nothing.

    Raises:
        MaskwrightError: with both lists.
    """
    dataset = predictor.task.prepared(dataset)
    mine, theirs = predictor.classes.names, dataset.classes.names
    if mine != theirs:
        raise MaskwrightError(
            f"{dataset.root} has the classes {', '.join(theirs)}, and the model has {', '.join(mine)}: "
            "give them the same names in the same order with `read.classes`"
        )
    return replace(dataset, classes=predictor.classes)
