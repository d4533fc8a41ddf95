"""How a model does on groups that it has not seen: short trainings, each without a part of the groups."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from maskwright.core.answers import Answer, Cure, Figure, Grid
from maskwright.core.errors import MaskwrightError
from maskwright.core.seeds import generator
from maskwright.core.text import count, plural
from maskwright.diagnosis import fitting
from maskwright.inference.predictor import Predictor
from maskwright.report.tables import written
from maskwright.tuning.halves import parts
from maskwright.workflows.diagnose_parts.figures import figure, mean, unit_of
from maskwright.workflows.diagnose_parts.short_runs import Setup, too_short
from maskwright.workflows.diagnose_parts.subsets import short_plan, trained

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from maskwright.core.answers import Cell
    from maskwright.core.records import Record
    from maskwright.metrics.scores import Scores
    from maskwright.workflows.diagnose_parts.study import Study

FEWEST = 3
"""Groups without which none is left out."""
FOLDS = 4
"""Trainings without a part of the groups, at most; one more is without none."""
MOST_IMAGES = 60
"""Images of the groups that a training leaves out which it is scored on."""
SHOWN = 10
QUESTION = "How does it do on patients, videos or sites that it has not seen?"


@dataclass(frozen=True)
class Found:
    """Scores of one training: on images of groups that it was trained without."""

    names: list[str]
    scores: Scores


def new_groups(study: Study, deadline: float) -> Iterator[Answer]:
    """Train without a part of the groups at a time, and score on these."""
    try:
        setup = Setup.of(study)
    except MaskwrightError as error:
        yield Answer("new-groups", QUESTION, f"Not measured: {error}.", "open")
        return
    folds = divided(setup.material.dataset.records, study.request.seed)
    if len(folds) < FEWEST:
        words = (
            f"Not measured: the images are of {plural(len(folds), 'group')}, and {FEWEST} are needed to leave some out."
        )
        why = "If the images are of patients, videos or sites, name them by a pattern of the file names in a training:"
        cure = Cure(why, "train", (str(study.dataset.root),), {"group_by": "patient[0-9]+"})
        yield Answer("new-groups", QUESTION, words, "open", cures=(cure,))
        return
    steps, minutes = setup.steps(len(folds) + 1, deadline)
    if minutes:
        yield too_short("new-groups", QUESTION, setup, len(folds) + 1, minutes)
        return
    with tempfile.TemporaryDirectory(prefix="maskwright-") as folder:
        known = _scored(setup, set(), setup.held_out, steps, Path(folder) / "all")
        found = [_without(setup, names, steps, Path(folder) / str(place)) for place, names in enumerate(folds)]
    yield _answer(setup, known, found, steps)


def divided(records: Sequence[Record], seed: int) -> list[list[str]]:
    """Divide the groups of images into parts of about as many images; fewer than `FEWEST` parts if there are as few."""
    groups = {record.id: record.group for record in records if record.group is not None and record.annotation}
    found = parts(list(groups.items()), min(FOLDS, len(set(groups.values()))), seed)
    return [sorted({name for id_ in part if (name := groups[id_]) is not None}) for part in found]


def _without(setup: Setup, names: list[str], steps: int, out: Path) -> Found:
    """Train without some groups, and score on an even sample of their images."""
    own = [
        record for record in setup.material.dataset.records if record.group in names and record.annotation is not None
    ]
    chosen = generator(setup.study.request.seed, "new groups images").permutation(len(own))[:MOST_IMAGES]
    return Found(names, _scored(setup, set(names), [own[place] for place in sorted(chosen)], steps, out))


def _scored(setup: Setup, left_out: set[str], records: Sequence[Record], steps: int, out: Path) -> Scores:
    """Train without some groups, also in validation, and score on some images."""
    study, data = setup.study, setup.material.dataset
    seen = tuple(record for record in data.records if record.group not in left_out)
    material = replace(setup.material, dataset=replace(data, records=seen))
    kept = material.dataset.part("train")
    report = study.progress(f"train on {plural(len(kept), 'image')}")
    plan = short_plan(setup.plan, steps, study.request.seed)
    run = trained(study.home, material, kept, plan, out, study.request.device, report)
    return study.scored(records=records, predictor=Predictor.load(run, study.request.device))


def _answer(setup: Setup, known: Scores, found: list[Found], steps: int) -> Answer:
    metric = known.image_headline
    new, usual = mean([each.scores for each in found]), mean([known])
    if new.value is None or usual.value is None:
        return Answer("new-groups", QUESTION, "Not measured: one of the two scores is undefined.", "open")
    gap = Figure("difference", *fitting.difference(new, usual), unit_of(metric, difference=True))
    sign = 1.0 if metric.higher_is_better else -1.0
    nearest = gap.high if sign > 0 else gap.low
    worse = nearest is not None and sign * nearest < 0
    grid = Grid(
        f"Mean {metric.label} of images of groups that a training was without",
        ("groups left out", "images", metric.label, "their held-out images, none left out"),
        tuple(_row(one, known) for one in found[:SHOWN]),
    )
    words = (
        f"On new groups the mean {metric.label} of an image is {written(metric, new.value)}, on the held-out images of "
        f"this run {written(metric, usual.value)}: {gap}. "
    )
    if nearest is None:
        words += f"With {plural(_groups(found), 'group')} there is no interval, so this may be chance."
    else:
        words += "It does worse on groups that it has not seen." if worse else "No difference is certain."
    return Answer(
        "new-groups",
        QUESTION,
        words,
        "warning" if worse else "note",
        abs(gap.value or 0.0) if worse and metric.unit == "share" else 0.0,
        (
            figure(f"mean {metric.label} on new groups", new, unit_of(metric)),
            figure(f"mean {metric.label} on held-out images", usual, unit_of(metric)),
            gap,
        ),
        (grid,),
        cures=_cures(setup.study) if worse else (),
        method=f"{plural(len(found), 'training')} of {plural(steps, 'step')}, each without a part of the groups, "
        "scored on images of these; and one without none, scored on the held-out images. Groups whose images are on "
        "both sides of the split make the second score too good. The two are of different images, so some of the "
        "difference may be that some groups are harder: the last column compares images of the same groups.",
    )


def _groups(found: list[Found]) -> int:
    return sum(len(one.names) for one in found)


def _row(one: Found, known: Scores) -> tuple[Cell, ...]:
    """Return a row of the table: groups, images, their score, and that of their held-out images if none is left out."""
    metric = known.image_headline
    same = tuple(entry for entry in known.per_image if entry.group in one.names)
    usual: Cell = figure("", mean([replace(known, per_image=same)]), unit_of(metric)) if same else "none held out"
    new = figure("", mean([one.scores]), unit_of(metric))
    return ", ".join(one.names), count(one.scores.images), new, usual


def _cures(study: Study) -> tuple[Cure, ...]:
    why = (
        "Label images of more groups: a few of each tell more than many of one. Until then, stronger augmentation of "
        "light and colour may help:"
    )
    settings = ("augment.brightness=0.4", "augment.contrast=0.4", "augment.saturation=0.4", "augment.gamma=0.4")
    return (Cure(why, "train", (str(study.dataset.root),), {"settings": settings, "from_run": str(study.run)}),)
