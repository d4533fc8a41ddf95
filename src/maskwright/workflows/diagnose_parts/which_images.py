"""On which images a model is wrong: groups, kinds of images, and the worst ones to look at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from maskwright.core.answers import Answer, Cure, Drawing, Figure, Grid
from maskwright.core.classes import IGNORE
from maskwright.core.text import chance, count, listing, plural
from maskwright.diagnosis import slices
from maskwright.diagnosis.image_facts import FACTS
from maskwright.report.pictures import legends
from maskwright.report.tables import written
from maskwright.workflows.diagnose_parts.figures import unit_of
from maskwright.workflows.evaluate_parts import scoring

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from maskwright.workflows.diagnose_parts.study import Look, Study

SHOWN = 10
"""Most rows of a table."""
TELLING = 0.02
"""Excess, as a share of the mean error, below which a kind of images is not worth naming."""
FEW_IMAGES = 12
"""Fewest images in which kinds of images are compared."""
AUGMENTATIONS = {
    "dark images": "augment.brightness=0.4",
    "bright images": "augment.brightness=0.4",
    "low-contrast images": "augment.contrast=0.4",
    "high-contrast images": "augment.contrast=0.4",
    "blurred images": "augment.blur=0.3",
    "colourless images": "augment.saturation=0.5",
    "colourful images": "augment.saturation=0.5",
}


def which_images(study: Study) -> Iterator[Answer]:
    """Compare groups and kinds of images, and show the worst images."""
    yield from _groups(study)
    yield _kinds(study)
    yield _worst(study)


def _groups(study: Study) -> Iterator[Answer]:
    """Compare groups: patients, videos, sites."""
    metric = study.scores.image_headline
    by_name: dict[str, list[float]] = {}
    for entry in study.scores.per_image:
        value = entry.values[metric.key]
        if entry.group is not None and value is not None:
            by_name.setdefault(entry.group, []).append(value)
    if len(by_name) < 2:
        return
    means = sorted((float(np.mean(values)), name, len(values)) for name, values in by_name.items())
    if not metric.higher_is_better:
        means.reverse()
    grid = Grid(
        f"{metric.label} by group, mean over its images, the worst groups first",
        ("group", "images", metric.label),
        tuple(
            (name, count(number), Figure(metric.label, mean, unit=unit_of(metric)))
            for mean, name, number in means[:SHOWN]
        ),
    )
    worst, best = means[0], means[-1]
    yield Answer(
        "groups",
        "Is it worse for some groups (patients, videos, sites)?",
        f"Of {plural(len(means), 'group')} {worst[1]} is the worst ({written(metric, worst[0])}) and {best[1]} the "
        f"best ({written(metric, best[0])}).",
        grids=(grid,),
        method="The next answer says whether chance explains such a difference.",
    )


def _kinds(study: Study) -> Answer:
    """Look for kinds of images that are worse than the others."""
    question = "On which kind of images is it worse?"
    looks, errors, expected = _errors(study)
    if len(looks) < FEW_IMAGES:
        words = (
            f"There are {plural(len(looks), 'image')}: too few to compare kinds of images ({FEW_IMAGES} are needed)."
        )
        return Answer("kinds", question, words, "open")
    facts = {fact: np.array([look.facts[fact] for look in looks]) for fact in FACTS}
    groups = [look.record.group for look in looks]
    members = {**slices.ends(facts, FACTS), **_by_group(groups), **_by_class(study, looks)}
    found = slices.worst_slices(members, errors, expected, groups, study.request.seed)
    found = [entry for entry in found if entry.excess >= TELLING * abs(float(errors.mean()))]
    certain = [entry for entry in found if entry.certain]
    grid = Grid(
        "Kinds of images with more errors than the others",
        (
            "images",
            "number",
            "wrong",
            "wrong elsewhere",
            "beyond their classes and the kinds above",
            "chance",
        ),
        tuple(_row(entry) for entry in found[:SHOWN]),
    )
    if certain:
        words = f"Worse than chance explains: {listing([entry.name for entry in certain])}."
    elif found:
        names = listing([entry.name for entry in found[:3]])
        words = (
            "There are too few groups (videos, patients) to say whether one kind is worse than others "
            "by more than chance."
            if all(entry.chance is None for entry in found)
            else "No kind of images is worse than chance explains."
        )
        words += f" Hints to look at: {names}."
    else:
        words = "No kind of images is worse than the others."
    first = (certain or found)[0] if found else None
    return Answer(
        "kinds",
        question,
        words,
        "warning" if certain else "note" if any(entry.chance is None for entry in found) else "good",
        max(0.0, first.excess) * first.images / len(looks) if certain and first else 0.0,
        tuple(Figure(f"more errors on {entry.name}", entry.excess, unit="points") for entry in certain[:3]),
        (grid,) if found else (),
        cures=_cures(study, certain),
        method="Compared are the darkest and the brightest quarter of the images, and so on for contrast, sharpness, "
        f"colour and size, each group, and the images that show a class: {plural(len(members), 'look')}, for which "
        "the chance is corrected. Images of one group are permuted together. These are hints, not causes.",
    )


def _errors(study: Study) -> tuple[list[Look], NDArray[np.float64], NDArray[np.float64]]:
    """Return images, the error of each, and what its classes lead one to expect."""
    looks = [look for look in study.looks if look.labels is not None and (look.truth != IGNORE).any()]
    if study.scores.confusion and looks:
        classes = len(study.classes)
        pixels = np.stack([np.bincount(look.truth[look.truth != IGNORE], minlength=classes) for look in looks])
        wrong = np.stack(
            [
                np.bincount(look.truth[(look.truth != IGNORE) & (look.labels != look.truth)], minlength=classes)
                for look in looks
            ]
        )
        expected = slices.expected_errors(pixels.astype(np.float64), wrong.astype(np.float64))
        return looks, wrong.sum(1) / pixels.sum(1), expected
    found = study.scores.image_errors
    looks = [look for look in study.looks if look.record.id in found]
    return looks, np.array([found[look.record.id] for look in looks]), np.zeros(len(looks))


def _by_group(groups: list[str | None]) -> dict[str, NDArray[np.bool_]]:
    names = {group for group in groups if group is not None}
    return {f"images of {name}": np.array([group == name for group in groups]) for name in sorted(names)}


def _by_class(study: Study, looks: list[Look]) -> dict[str, NDArray[np.bool_]]:
    return {
        f"images with {name}": np.array([bool((look.truth == index).any()) for look in looks])
        for index, name in enumerate(study.classes.names)
        if index != study.classes.background
    }


def _row(entry: slices.Slice) -> tuple[str | Figure, ...]:
    return (
        entry.name,
        count(entry.images),
        Figure("", entry.error),
        Figure("", entry.rest),
        Figure("", entry.excess, unit="points"),
        "unknown" if entry.chance is None else chance(entry.chance),
    )


def _cures(study: Study, found: list[slices.Slice]) -> tuple[Cure, ...]:
    data = (str(study.dataset.root),)
    named = [AUGMENTATIONS[entry.name] for entry in found if entry.name in AUGMENTATIONS]
    if not named:
        return ()
    why = f"Stronger augmentation may help on {found[0].name}; more labelled images of this kind help more."
    return (Cure(why, "train", data, {"settings": tuple(dict.fromkeys(named)), "from_run": str(study.run)}),)


def _worst(study: Study) -> Answer:
    """Show the images with the worst scores."""
    metric = study.scores.image_headline
    examples = scoring.examples(study.predictor, study.dataset, [look.record for look in study.looks], study.scores)
    worst = examples[: (len(examples) + 1) // 2]
    drawings = tuple(
        Drawing(f"{example.id}: {panel.title}", panel.pixels) for example in worst for panel in example.panels
    )
    known = [example for example in worst if example.score is not None]
    words = "; ".join(
        f"{example.id} ({written(metric, example.score or 0)}): {example.note.rstrip('.')}" for example in known
    )
    return Answer(
        "worst",
        "Which images are the worst?",
        f"The worst by {metric.label}: {words}." if known else "No image has a score.",
        drawings=drawings,
        legend=tuple(entry for part in legends(worst) for entry in part),
    )
