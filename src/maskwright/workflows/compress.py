"""Compress: train a narrower student on a model's maps and on the labels, and compare the two. Prints nothing."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskwright.core.channels import emits_objects
from maskwright.core.errors import MaskwrightError
from maskwright.core.files import write_text
from maskwright.core.paths import MODEL_FILE
from maskwright.core.plan_file import read_plan
from maskwright.inference.opening import milliseconds
from maskwright.models import bundle
from maskwright.models.catalog import find_model
from maskwright.tasks import find_task
from maskwright.workflows.compress_parts.student import Student, student_of
from maskwright.workflows.evaluate_parts.evaluation import opened
from maskwright.workflows.request import EvaluateRequest, PlanRequest
from maskwright.workflows.runs import run_folder, split_lookup
from maskwright.workflows.train import train

if TYPE_CHECKING:
    from maskwright.core.events import OnEvent
    from maskwright.core.plan import Plan
    from maskwright.metrics.scores import Metric
    from maskwright.models.bundle import Card
    from maskwright.models.cost import Cost
    from maskwright.workflows.compress_request import CompressRequest
    from maskwright.workflows.evaluate_parts.evaluation import Evaluation

COMPARISON = "compression.json"


@dataclass(frozen=True)
class Figures:
    """Figures of one of the two models.

    Attributes:
        score: on the same held-out images, with its interval: value, low, high.
        milliseconds: of PyTorch for one tile, on this machine, in turns.
        bytes: of the model file.
        parameters: weights.
        multiply_adds: for one image of 512 x 512.
    """

    score: tuple[float | None, float | None, float | None]
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
        notes: remarks on the comparison.
    """

    run: Path
    metric: Metric
    split: str
    images: int
    teacher: Figures
    student: Figures
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return all figures as plain JSON."""
        return {
            "metric": self.metric.label,
            "split": self.split,
            "images": self.images,
            "teacher": asdict(self.teacher),
            "student": asdict(self.student),
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
    both = [opened(home, root, EvaluateRequest("all", device=request.device)) for home in (run, out)]
    split = "test" if _shared(both, "test") else "val"
    names = _shared(both, split)
    if not names:
        raise MaskwrightError(
            f"{root} has no labelled image that neither model was trained on, so the two cannot be compared: label "
            f"more, and evaluate {run} and {out} on them"
        )
    scored = []
    for evaluation in both:
        records = tuple(record for record in evaluation.records if record.id in names)
        scored.append(replace(evaluation, records=records).scored(evaluation.predictor, None))
    engines = [evaluation.predictor.engine for evaluation in both]
    times = milliseconds(engines, both[0].predictor.card)
    teacher, pupil = (
        _figures(scores.score, time, home / MODEL_FILE, cost)
        for scores, time, home, cost in zip(scored, times, (run, out), (student.teacher, student.cost), strict=True)
    )
    notes = tuple(dict.fromkeys(note for evaluation in both for note in evaluation.notes))
    result = CompressResult(out, scored[0].headline_metric, split, len(names), teacher, pupil, notes)
    write_text(out / COMPARISON, json.dumps(result.to_json(), indent=1) + "\n")
    return result


def _shared(both: list[Evaluation], split: str) -> set[str]:
    """Return the ids of the images that lie in a part of the data for both models."""
    parts = [{record.id for record in each.records if record.split == split} for each in both]
    return parts[0] & parts[1]


def _figures(score: Any, time: float, file: Path, cost: Cost) -> Figures:
    interval = (score.value, score.low, score.high)
    return Figures(interval, time, file.stat().st_size, cost.parameters, cost.multiply_adds)
