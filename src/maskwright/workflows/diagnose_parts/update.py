"""How a model is updated: what it went on from, whether it is better than that, and how the next version is made."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from maskwright.core.answers import Answer, Cure, Figure, Grid
from maskwright.core.errors import MaskwrightError
from maskwright.core.paths import model_file
from maskwright.core.seeds import generator
from maskwright.core.text import count, plural
from maskwright.inference.origin import digest
from maskwright.workflows.diagnose_parts.figures import change, figure, unit_of
from maskwright.workflows.evaluate_parts import scoring
from maskwright.workflows.evaluate_parts.evaluation import opened
from maskwright.workflows.request import EvaluateRequest
from maskwright.workflows.runs import run_folder

if TYPE_CHECKING:
    from maskwright.core.answers import Cell, Level
    from maskwright.core.records import Record
    from maskwright.inference.predictor import Predictor
    from maskwright.metrics.scores import Scores
    from maskwright.workflows.diagnose_parts.study import Seen, Study
    from maskwright.workflows.evaluate_parts.evaluation import Evaluation

TOLERATED = 0.01
"""Loss that a new version may have on the old images, as a share of 1, if it is for certain no larger."""
SHORT = 12
"""Digits of a SHA-256 that tell versions apart."""
QUESTION = "It does worse on new data: how is it updated, and was the last update any good?"


def update(study: Study, deadline: float) -> Answer:
    """Compare a model with the run that it went on from, on images that neither was trained on."""
    weights = study.plan.model.weights if study.plan is not None else None
    if weights is None:
        words = "This model did not go on from another run, so there is no earlier version to compare it with."
        return _answered(study, words, "open", (_version(study.run, study.scores),))
    before = Path(weights).parent
    if not Path(weights).exists() or not (before / run_folder.SPLIT).exists():
        words = f"Not compared: this model started from {weights}, which is no run, or not there any more."
        return _answered(study, words, "open", (_version(study.run, study.scores),))
    versions = _version(before, None), _version(study.run, study.scores)
    if time.monotonic() + 2 * scoring.LEAST_IMAGES * study.seconds_each > deadline:
        words = f"This model went on from {before}. There was no time to compare the two: ask for it alone."
        return _answered(study, words, "open", versions, again=True)
    try:
        request = EvaluateRequest("all", study.request.read, None, study.request.device)
        evaluation = opened(before, study.dataset.root, request)
        records = _unseen(study, evaluation)
        old, new = _both(study, evaluation.predictor, records, deadline)
        found = change(old, new)
    except MaskwrightError as error:
        words = f"This model went on from {before}, and the two were not compared: {error}."
        return _answered(study, words, "open", versions)
    rows = (_version(before, old), _version(study.run, new))
    said, level = _gate(found, new)
    drawn = "" if new.images == len(records) else f" (drawn from {count(len(records))} to save time)"
    words = f"This model went on from {before}. On {plural(new.images, 'image')} that neither was trained on{drawn}, "
    words += f"it changes the {new.headline_metric.label} by {found}. {said}"
    return _answered(study, words, level, rows, found)


def _unseen(study: Study, evaluation: Evaluation) -> list[Record]:
    """Return the images of the looks that the earlier version was not trained on, in random order.

    Raises:
        MaskwrightError: there is none, or the earlier version has other classes.
    """
    names, own = evaluation.predictor.classes.names, study.classes.names
    if names != own:
        raise MaskwrightError(f"it has the classes {', '.join(names)}, and this model {', '.join(own)}")
    seen = {record.id for record in evaluation.dataset.records if record.split == "train"}
    left = [look.record for look in study.looks if look.record.id not in seen and look.record.split != "train"]
    if not left:
        raise MaskwrightError("every held-out image was in the training of the earlier version")
    return [left[place] for place in generator(study.request.seed, "update").permutation(len(left))]


def _both(study: Study, earlier: Predictor, records: list[Record], deadline: float) -> tuple[Scores, Scores]:
    """Score the earlier version and this one on as many of the images as there is time for, four at least.

    The earlier one goes first, since how long it takes is not known, and leaves time for the same images with this one.
    """
    done: list[Record] = []
    started = time.monotonic()

    def seen(image: Seen) -> bool:
        done.append(image.record)
        now, following = time.monotonic(), len(done) + 1
        until = now + (now - started) / len(done) + following * study.seconds_each
        return following <= scoring.LEAST_IMAGES or until <= deadline

    old = study.scored(records=records, predictor=earlier, seen=seen)
    return old, study.scores if len(done) == len(study.looks) else study.scored(records=done)


def _gate(found: Figure, scores: Scores) -> tuple[str, Level]:
    """Say whether the new version may replace the old one."""
    metric = scores.headline_metric
    low, high = found.low, found.high
    if low is None or high is None:
        return "There are too few images for an interval, so it is not clear which is better.", "note"
    least, most = (low, high) if metric.higher_is_better else (-high, -low)
    if most < 0:
        return "It is worse for certain: keep the earlier version, and train again with old and new images.", "warning"
    if least >= (-TOLERATED if metric.unit == "share" else 0.0):
        return "It may replace the earlier version.", "good"
    return "It is not clear whether it may replace the earlier version: more held-out images would say.", "note"


def _version(run: Path, scores: Scores | None) -> tuple[Cell, ...]:
    """Return a row of the table of versions."""
    home = run if run.is_dir() else run.parent
    path = home / run_folder.SPLIT
    trained: Cell = "unknown"
    if path.exists():
        trained = count(sum(entry["split"] == "train" for entry in run_folder.read_json(path).values()))
    score: Cell = "not measured"
    if scores is not None:
        score = figure("", scores.score, unit_of(scores.headline_metric))
    return str(run), digest(model_file(run))[:SHORT], trained, score


def _answered(
    study: Study,
    words: str,
    level: Level,
    rows: tuple[tuple[Cell, ...], ...],
    found: Figure | None = None,
    *,
    again: bool = False,
) -> Answer:
    label = study.scores.headline_metric.label
    alone = Cure("Asks for it alone.", "diagnose", (str(study.run), str(study.dataset.root)), {"question": "update"})
    return Answer(
        "update",
        QUESTION,
        words,
        level,
        abs(found.value or 0.0) if found is not None and level == "warning" and found.unit == "points" else 0.0,
        () if found is None else (found,),
        (Grid("Versions", ("run", "SHA-256 of the model", "training images", label), rows),),
        cures=((alone,) if again else ()) + _cures(study),
        method="A version is named by the SHA-256 of its model file, which the service (`/v1/model`) and exports name "
        "too. An update passes if the 95 % interval of the paired difference on old held-out images lies above "
        f"-{100 * TOLERATED:.0f} point.",
    )


def _cures(study: Study) -> tuple[Cure, ...]:
    """Return the steps of an update: rehearsal, gate, change of versions."""
    run, data = str(study.run), str(study.dataset.root)
    return (
        Cure(
            "1. Goes on from this model with the old and the new images in one folder: a network that sees only new "
            "ones forgets the old ones.",
            "train",
            ("OLD_AND_NEW",),
            {"from_run": run, "out": "NEW_RUN"},
        ),
        Cure(
            "2. Compares both on old images that neither was trained on; the same with the new data. Keep the new "
            "model only if it loses on neither.",
            "compare",
            (run, "NEW_RUN"),
            {"data": data},
        ),
        Cure("3. Serves it: a service that runs already takes a model that is renamed into its place.", "serve",
             ("NEW_RUN",)),
    )  # fmt: skip
