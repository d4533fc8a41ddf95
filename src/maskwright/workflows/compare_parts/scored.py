"""Scores of several runs on the same held-out images: those that the trainings stored, or new ones. Writes nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from maskwright.core.errors import MaskwrightError
from maskwright.core.text import agree, plural
from maskwright.metrics.paired import check_same
from maskwright.workflows.runs import run_folder
from maskwright.workflows.runs.finished import finished

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from maskwright.core.events import OnProgress
    from maskwright.inference import Predictor
    from maskwright.metrics.scores import Scores
    from maskwright.workflows.evaluate_parts.evaluation import Evaluation

CHOSEN_BY = "the scores are of validation images, which chose the weights, so they are somewhat too good"


@dataclass(frozen=True)
class Scored:
    """All runs on the same images.

    Attributes:
        split: part of the data that the images are of, for every run.
        scores: one entry a run.
        notes: remarks on the images.
        predictors: of the runs, where they were scored anew.
    """

    split: str
    scores: tuple[Scores, ...]
    notes: tuple[str, ...] = ()
    predictors: tuple[Predictor, ...] = ()


def stored(runs: Sequence[Path]) -> Scored:
    """Return the scores that the trainings stored.

    Raises:
        MaskwrightError: they are not of the same images and masks, or a run is not finished.
    """
    found = [_metrics(run) for run in runs]
    scores = [entry[1] for entry in found]
    split = found[0][0]["split"]
    for run, (metrics, other) in zip(runs[1:], found[1:], strict=True):
        _check_images(runs[0], run)
        if metrics["split"] != split:
            raise MaskwrightError(
                f"{runs[0]} was scored on its {split} part and {run} on its {metrics['split']} part: score both on one "
                "data set, given with `data`"
            )
        check_same(scores[0], other)
    for run, entry in zip(runs, scores, strict=True):
        if entry.score.value is not None and entry.score.without is None:
            raise MaskwrightError(
                f"{run} was trained by an earlier version, which did not store what a comparison needs: score the runs "
                "again with `data`"
            )
    notes = () if split == "test" else (CHOSEN_BY,)
    held = sum(entry["split"] == split for entry in run_folder.read_json(runs[0] / run_folder.SPLIT).values())
    if scores[0].images < held:
        some = f"the scores are of {scores[0].images} of {held} {split} images"
        notes = (f"{some}: compare the runs on the data set itself to score all", *notes)
    return Scored(split, tuple(scores), notes)


def _metrics(run: Path) -> tuple[dict[str, Any], Scores]:
    done = finished(run)
    if done is None:
        raise MaskwrightError(f"{run} is not finished: `maskwright train --resume {run}` continues it")
    if done.scores is None:
        raise MaskwrightError(f"{run} held no image out, so it has no scores: score all runs on new images with `data`")
    return run_folder.read_json(run / run_folder.METRICS), done.scores


def _check_images(first: Path, second: Path) -> None:
    """Refuse two runs whose stored scores are of other data, or of images that one of them was trained on.

    Raises:
        MaskwrightError: with the reason.
    """
    splits = [run_folder.read_json(run / run_folder.SPLIT) for run in (first, second)]
    for place, (run, other) in enumerate(((first, second), (second, first))):
        mine, theirs = splits[place], splits[1 - place]
        seen = sorted(
            name for name, entry in mine.items() if entry["split"] == "test" and _part(theirs, name) == "train"
        )
        if seen:
            raise MaskwrightError(
                f"{other} was trained on {plural(len(seen), 'test image')} of {run}, such as {seen[0]}, so its scores "
                "on them mean nothing: give images that none of the runs was trained on with `data`, or train with one "
                "split"
            )
    data = [run_folder.read_json(run / run_folder.DATA) for run in (first, second)]
    if data[0]["hash"] != data[1]["hash"] or data[0]["read"] != data[1]["read"]:
        raise MaskwrightError(
            f"{first} and {second} were trained on other data ({data[0]['root']} and {data[1]['root']}), or the data "
            "changed or were read in another way in between: score both on one data set, given with `data`"
        )


def _part(split: dict[str, Any], name: str) -> str | None:
    return split[name]["split"] if name in split else None


def scored_anew(runs: Sequence[Path], root: Path, device: str, on_progress: OnProgress | None = None) -> Scored:
    """Score all runs on the images of a data set that none of them was trained on.

    Raises:
        MaskwrightError: there are none, or a model cannot be scored on these data.
    """
    from maskwright.workflows.evaluate_parts.evaluation import opened
    from maskwright.workflows.request import EvaluateRequest

    opening = [opened(run, root, EvaluateRequest("all", device=device)) for run in runs]
    split, names, left = _shared(opening, root)
    groups = {record.id: record.group for record in opening[0].records}
    notes = [*left] if split == "test" else [*left, CHOSEN_BY]
    scores: list[Scores] = []
    for number, evaluation in enumerate(opening):
        records = tuple(replace(record, group=groups[record.id]) for record in evaluation.records if record.id in names)

        def progress(done: int, total: int, before: int = number) -> None:
            if on_progress is not None:
                on_progress(before * total + done, len(runs) * total)

        scores.append(replace(evaluation, records=records).scored(evaluation.predictor, progress))
        notes += evaluation.notes
        check_same(scores[0], scores[-1])
    predictors = tuple(evaluation.predictor for evaluation in opening)
    return Scored(split, tuple(scores), tuple(dict.fromkeys(notes)), predictors)


def _shared(opening: Sequence[Evaluation], root: Path) -> tuple[str, set[str], list[str]]:
    """Return the part of the data that all runs can be scored on, the ids of its images, and what was left out.

    Raises:
        MaskwrightError: every labelled image was seen by the training of one of the runs.
    """
    parts = [{record.id: record.split for record in evaluation.records} for evaluation in opening]
    for split in ("test", "val"):
        names = [{name for name, own in part.items() if own == split} for part in parts]
        shared = set.intersection(*names)
        if shared:
            missing = len(set.union(*names) - shared)
            which = f"{plural(missing, f'{split} image')} of some runs {agree(missing, 'is', 'are')} left out"
            left = f"{which}: others saw {agree(missing, 'it', 'them')} in training"
            return split, shared, [left] if missing else []
    raise MaskwrightError(
        f"every labelled image in {root} was seen in the training of one of the runs, so their scores on it mean "
        "nothing: give other images, or train the runs with one split"
    )
