"""Says whether the training of a run folder is finished, and reads back what it found. Trains and writes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from maskwright.core.errors import MaskwrightError
from maskwright.core.paths import MODEL_FILE
from maskwright.metrics.scores import Metric, Scores
from maskwright.models import bundle
from maskwright.training import checkpoint
from maskwright.training.loop import Best
from maskwright.training.schedule import Schedule
from maskwright.workflows.runs import run_folder

if TYPE_CHECKING:
    from pathlib import Path


SEARCH = "trials/start.json"
"""What a search for a better plan (tune) began with."""


@dataclass(frozen=True)
class Finished:
    """What a finished training found.

    Attributes:
        steps: that were made.
        seconds: of the command that finished it; of the steps alone if no image was held out.
        validation_score: headline metric of the chosen weights, or None without validation images.
        scores: on the held-out images, or None if there were none.
    """

    steps: int
    seconds: float
    validation_score: float | None = None
    scores: Scores | None = None


def is_search(run: Path) -> bool:
    """Return whether a run began as a search for a better plan."""
    return (run / SEARCH).is_file()


def finished(run: Path) -> Finished | None:
    """Read what a finished training wrote last; None if any of it is missing, so that something is left to do.

    Raises:
        MaskwrightError: the folder is damaged.
    """
    if not _ended(run):
        return None
    path = run / run_folder.METRICS
    if not path.exists():  # no image was held out
        row = run_folder.read_history(run / run_folder.HISTORY)[-1]
        return Finished(int(row["step"] or 0), row["seconds"] or 0.0)
    metrics = run_folder.read_json(path)
    try:
        scores = Scores.from_json(metrics["scores"])
        best = metrics[f"validation_{scores.headline}"]
        return Finished(metrics["steps"], metrics["seconds"], best, scores)
    except (KeyError, TypeError) as error:
        raise MaskwrightError(
            f"{path} does not hold the scores of a training, as this version writes them ({error!r}): delete it, and "
            "`resume` scores the model again"
        ) from None


def _ended(run: Path) -> bool:
    """Say whether all is there that a training writes last: without held-out images neither scores nor report."""
    if not all((run / name).exists() for name in (MODEL_FILE, run_folder.HISTORY)):
        return False
    if all((run / name).exists() for name in (run_folder.METRICS, run_folder.REPORT)):
        return True
    return all(entry["split"] == "train" for entry in run_folder.read_json(run / run_folder.SPLIT).values())


def unfinished(model: Path) -> str | None:
    """Return a note if a model is that of a run that is not finished; None for any other model.

    Args:
        model: a run folder, or a model file.

    Raises:
        MaskwrightError: the folder is damaged.
    """
    run = model if model.is_dir() else model.parent
    begun = all((run / name).exists() for name in (MODEL_FILE, run_folder.PLAN, run_folder.SPLIT))
    if not begun or model not in {run, run / MODEL_FILE} or _ended(run):
        return None
    command = f"`maskwright tune --resume {run}`" if is_search(run) else f"`maskwright train --resume {run}`"
    return (
        f"{run} is not finished: what a training fits after its last step, such as thresholds, may be missing from the "
        f"model. {command} finishes it"
    )


def is_saved(run: Path) -> bool:
    """Say whether the model of a training is there, which is saved after the last step, and no checkpoint any more."""
    return (run / MODEL_FILE).exists() and not any(run.glob(f"{checkpoint.FOLDER}/*"))


def saved(run: Path, metric: Metric) -> tuple[Best, Schedule]:
    """Return the weights of a saved model and the steps that were made, as a training returns them.

    Args:
        run: the run folder.
        metric: by which the training chose the weights.

    Raises:
        MaskwrightError: the model is damaged, or the history is missing or empty.
    """
    path = run / run_folder.HISTORY
    rows = run_folder.read_history(path) if path.exists() else []
    if not rows:
        raise MaskwrightError(
            f"{run} holds a trained model, but no checkpoint, and {'an empty' if path.exists() else 'no'} "
            f"{run_folder.HISTORY}, so the steps that were made are unknown: `maskwright evaluate {run} DATA` scores "
            f"the model; to train again, give `plan_file` {run / run_folder.PLAN} and another `out`"
        )
    best = Best(weights=bundle.load(run / MODEL_FILE)[0].state_dict())
    for row in rows:
        score = row.get(f"val_{metric.key}")
        if score is not None and (score == best.score or metric.improves(score, best.score)):
            best.score, best.step = score, int(row["step"] or 0)
    step = int(rows[-1]["step"] or 0)
    best.step = best.step or step
    return best, Schedule(step, step=step, spent_seconds=rows[-1]["seconds"] or 0.0)
