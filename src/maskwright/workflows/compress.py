"""Compress: train a narrower student on a model's maps and on the labels, and compare the two. Prints nothing."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskwright.core.channels import emits_objects
from maskwright.core.errors import MaskwrightError
from maskwright.core.files import write_text
from maskwright.core.paths import MODEL_FILE
from maskwright.core.plan_file import read_plan
from maskwright.inference.opening import milliseconds
from maskwright.metrics.paired import difference
from maskwright.models import bundle
from maskwright.models.catalog import find_model
from maskwright.tasks import find_task
from maskwright.workflows.compare_parts.scored import scored_anew
from maskwright.workflows.compress_parts.student import Student, student_of
from maskwright.workflows.request import PlanRequest
from maskwright.workflows.runs import run_folder, split_lookup
from maskwright.workflows.train import train

if TYPE_CHECKING:
    from maskwright.core.events import OnEvent
    from maskwright.core.plan import Plan
    from maskwright.metrics.scores import Estimate, Metric
    from maskwright.models.bundle import Card
    from maskwright.models.cost import Cost
    from maskwright.workflows.compress_request import CompressRequest

COMPARISON = "compression.json"

Bounds = tuple[float | None, float | None, float | None]
"""A value and its interval: value, low, high."""


@dataclass(frozen=True)
class Figures:
    """Figures of one of the two models.

    Attributes:
        score: on the same held-out images, with its interval.
        milliseconds: of PyTorch for one tile, on this machine, in turns.
        bytes: of the model file.
        parameters: weights.
        multiply_adds: for one image of 512 x 512.
    """

    score: Bounds
    milliseconds: float
    bytes: int
    parameters: int
    multiply_adds: int


@dataclass(frozen=True)
class CompressResult:
    """Result of a compression.

    Attributes:
        run: the student's run folder; `compression.json` in it holds these figures.
        metric: what the scores are.
        split: part of the data that both were scored on.
        images: their number.
        teacher: figures of the model.
        student: of the narrower one.
        change: by how much the student's score is higher, with the interval of paired images.
        notes: remarks on the comparison.
    """

    run: Path
    metric: Metric
    split: str
    images: int
    teacher: Figures
    student: Figures
    change: Bounds
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return all figures as plain JSON."""
        return {
            "metric": self.metric.label,
            "split": self.split,
            "images": self.images,
            "teacher": asdict(self.teacher),
            "student": asdict(self.student),
            "change": self.change,
            "notes": list(self.notes),
        }


def compress(run: Path, request: CompressRequest, on_event: OnEvent | None = None) -> CompressResult:
    """Train a narrower model of the same architecture, taught by a trained one.

    Args:
        run: run folder of the trained model, the teacher.
        request: how narrow, and how long to train.
        on_event: called with progress and notes of the training.

    Raises:
        MaskwrightError: no finished run, a model that cannot teach or be narrowed, data that is gone, or a training
            that is refused.
    """
    if not run.is_dir() or not (run / MODEL_FILE).is_file() or not (run / run_folder.PLAN).is_file():
        raise MaskwrightError(f"{run} is not the folder of a finished run: compression starts from one")
    card = bundle.read_card(run / MODEL_FILE)
    _check(card)
    root = request.data or Path(run_folder.read_json(run / run_folder.DATA)["root"])
    if not root.exists():
        raise MaskwrightError(f"the training data {root} is not there any more: give its place with `data`", "data")
    student = student_of(card, request.share)
    out = request.folder(run)
    train(root, _training(run, request, student), out, on_event=on_event)
    return _compared(run, out, root, student, request)


def _check(card: Card) -> None:
    """Refuse a model without maps that a student could learn.

    Raises:
        MaskwrightError: it emits objects, matches queries, or grows.
    """
    if emits_objects(card.channels) or find_model(card.model.name).learns != "maps":
        raise MaskwrightError(
            f"{card.model.name} does not learn maps, so a student cannot be taught by its maps: compress another "
            "model, or train a smaller one"
        )


def _training(run: Path, request: CompressRequest, student: Student) -> PlanRequest:
    """Return the student's training: network, images and split are fixed, the rest is planned."""
    plan = read_plan(run / run_folder.PLAN)
    fixed: dict[str, Any] = {
        "model.name": student.plan.name,
        "model.backbone": student.plan.backbone,
        "model.options": student.plan.options,
        "model.pretrained": False,
        "model.dropout": plan.model.dropout,
        **_section(plan, "data"),
        **_section(plan, "split"),
        "predict.tile": plan.predict.tile,
    }
    task = find_task(plan.task)
    if task.objects:
        fixed |= _section(plan, "objects")
    if task.annotation == "edges":
        fixed |= _section(plan, "edges")
    elif plan.edges.weight:  # a channel of edges beside the masks
        fixed["edges.weight"] = plan.edges.weight
    if not request.alone:
        fixed["distill.teacher"] = str((run / MODEL_FILE).resolve())
    return PlanRequest(
        budget=request.budget,
        steps=request.steps,
        task=plan.task,
        settings=tuple(f"{key}={json.dumps(value)}" for key, value in fixed.items()),
        seed=plan.seed,
        device=request.device,
        read=split_lookup.reading(run),
    )


def _section(plan: Plan, name: str) -> dict[str, Any]:
    """Return what a section of a plan sets, by dotted key."""
    section = getattr(plan, name)
    values = section.model_dump(mode="json")
    return {f"{name}.{key}": values[key] for key in sorted(section.model_fields_set)}


def _compared(run: Path, out: Path, root: Path, student: Student, request: CompressRequest) -> CompressResult:
    """Score and time both models on the held-out images that neither was trained on, and keep the figures."""
    found = scored_anew((run, out), root, request.device)
    times = milliseconds([predictor.engine for predictor in found.predictors], found.predictors[0].card)
    teacher, pupil = (
        _figures(scores.score, time, home / MODEL_FILE, cost)
        for scores, time, home, cost in zip(
            found.scores, times, (run, out), (student.teacher, student.cost), strict=True
        )
    )
    first, second = found.scores
    change = difference(first, second, first.headline)
    result = CompressResult(
        out, first.headline_metric, found.split, len(first.per_image), teacher, pupil, _bounds(change), found.notes
    )
    write_text(out / COMPARISON, json.dumps(result.to_json(), indent=1) + "\n")
    return result


def _figures(score: Estimate, time: float, file: Path, cost: Cost) -> Figures:
    return Figures(_bounds(score), time, file.stat().st_size, cost.parameters, cost.multiply_adds)


def _bounds(score: Estimate) -> Bounds:
    return score.value, score.low, score.high
