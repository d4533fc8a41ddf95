"""Shortcuts: whether corners, frame, background or colour of an image tell the model what its objects are."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from maskwright.core.answers import Answer, Cure, Drawing, Figure, Grid
from maskwright.core.classes import IGNORE
from maskwright.core.text import chance, count, listing, percent, plural
from maskwright.diagnosis import shortcuts as measures
from maskwright.diagnosis import swaps
from maskwright.workflows.diagnose_parts.donors import Donors, sample_of
from maskwright.workflows.diagnose_parts.swap_trials import WORDS, labels_of, swapped, tried

if TYPE_CHECKING:
    from collections.abc import Iterator

    from maskwright.diagnosis.shortcuts import Effect
    from maskwright.workflows.diagnose_parts.study import Study
    from maskwright.workflows.diagnose_parts.swap_trials import Trials

QUESTION = "What drives the decision: the objects, or corners, frame, background and colour?"
SHOWN = 8
LOCALISED = 12
"""Images on which the parts of a swap are tried one by one."""
TRAINING: dict[str, tuple[str, tuple[str, ...]]] = {
    "background": (
        "Objects pasted into other training images no longer go with one background:",
        ("augment.paste=0.5",),
    ),
    "colour": (
        "Random colours in training keep the model from relying on the cast of an image:",
        ("augment.hue=0.2", "augment.saturation=0.6", "augment.brightness=0.4"),
    ),
}
METHOD = (
    "Each held-out image gets the corners, the frame, the background and the colour cast of two training images: one "
    "that shows a class and one that does not. Counted is the area of the class that then comes and goes in the pixels "
    "that were not swapped. The chance is that of the largest of all looks under random signs; an effect below "
    f"{percent(measures.MATERIAL, 0)} is not called a shortcut."
)


def shortcuts(study: Study, deadline: float) -> Iterator[Answer]:
    """Answer whether parts of the image that should not matter decide what the model finds."""
    if any(look.labels is None for look in study.looks):
        yield _open("Edges have no classes that a part of the image could betray, so nothing was swapped.")
        return
    spare = deadline - time.monotonic()
    donors = Donors(study, time.monotonic() + 0.15 * spare)
    if not len(donors.targets):
        yield _open(
            "All images show the same classes in the same amounts, so no part of an image can betray a class: label "
            "images that lack a class to measure this."
        )
        return
    trials = tried(study, donors, time.monotonic() + 0.65 * spare, deadline)
    if len(trials.more) < measures.FEWEST:
        yield _open(
            f"{plural(len(trials.more), 'image')} could be altered, too few to exclude chance: "
            f"{measures.FEWEST} are needed, and time for them.",
            _again(study),
        )
        return
    names = tuple(WORDS)
    found = measures.effects(np.stack(trials.more), np.stack(trials.either), names, trials.groups, study.request.seed)
    yield _answer(study, donors, trials, found, deadline)


def _open(words: str, *cures: Cure) -> Answer:
    return Answer("shortcuts", QUESTION, words, "open", cures=cures)


def _again(study: Study) -> Cure:
    options: dict[str, str | tuple[str, ...]] = {"question": ("shortcuts",), "budget": "20m"}
    return Cure("Asks for it alone, with more time.", "diagnose", (str(study.run), str(study.dataset.root)), options)


def _answer(study: Study, donors: Donors, trials: Trials, found: list[Effect], deadline: float) -> Answer:
    certain = [effect for effect in found if effect.certain]
    grids, figures = _tables(study, trials, found)
    method = METHOD if donors.from_training else METHOD.replace("two training images", "two other held-out images")
    if not certain:
        largest = max((effect.share for effect in found), default=0.0)
        words = (
            f"No shortcut was found on {plural(len(trials.more), 'image')}: swapping corners, frame, background or "
            f"colour cast moves at most {percent(max(largest, 0.0))} of a class's area elsewhere."
        )
        return Answer("shortcuts", QUESTION, words, "good", figures=figures, grids=grids, method=method)
    strongest = max(certain, key=lambda effect: effect.share)
    parts = {name: _where(study, trials, name, deadline) for name in dict.fromkeys(e.swap for e in certain)}
    kinds = listing([parts[name] for name in parts])
    words = (
        f"A shortcut: the model goes by {kinds}, and not by the objects alone. "
        f"{percent(strongest.share)} of the area of {study.classes.names[strongest.index]} comes and goes with "
        f"{WORDS[strongest.swap]} of another image, though its objects stay as they are. On images without this "
        f"coincidence the model will be wrong.{_alike(trials)}"
    )
    return Answer(
        "shortcuts",
        QUESTION,
        words,
        "warning",
        min(1.0, strongest.share),
        (_figure(study, strongest), *figures),
        grids,
        drawings=_example(study, trials, strongest),
        cures=_cures(study, list(parts)),
        method=method,
    )


def _alike(trials: Trials) -> str:
    """Say that few groups are weak evidence."""
    number = len(set(trials.groups))
    if None in trials.groups or number >= measures.FEWEST_GROUPS:
        return ""
    return (
        f" But the images are from {plural(number, 'group')} (videos, patients) only, and images of one group resemble "
        "each other, so it may be chance."
    )


def _figure(study: Study, effect: Effect) -> Figure:
    name = f"area of {study.classes.names[effect.index]} that comes and goes with {WORDS[effect.swap]}"
    return Figure(name, effect.share, effect.low, effect.high)


def _tables(study: Study, trials: Trials, found: list[Effect]) -> tuple[tuple[Grid, ...], tuple[Figure, ...]]:
    rows = tuple(
        (
            f"{WORDS[effect.swap]}: {study.classes.names[effect.index]}",
            count(effect.images),
            Figure("", effect.share, effect.low, effect.high),
            chance(effect.chance),
        )
        for effect in found[:SHOWN]
    )
    changed = np.stack(trials.changed)
    means = {
        name: float(np.nanmean(column))
        for name, column in zip(WORDS, changed.T, strict=True)
        if not np.isnan(column).all()
    }
    any_rows = [(WORDS[name], Figure("", value)) for name, value in means.items()]
    if trials.grey:
        any_rows.append(("all colour (grey image)", Figure("", float(np.mean(trials.grey)))))
    grids = (
        Grid("How much of a class goes by a part of the image", ("part: class", "images", "effect", "chance"), rows),
        Grid(
            "How many of the other pixels change their class when a part is swapped, whatever the reason",
            ("part", "pixels that change"),
            tuple(any_rows),
        ),
    )
    colour = (Figure("pixels that change when the image is grey", float(np.mean(trials.grey))),) if trials.grey else ()
    return grids, colour


def _where(study: Study, trials: Trials, name: str, deadline: float) -> str:
    """Return which of the corners or sides has the effect, in words."""
    if name not in swaps.PARTS:
        return WORDS[name]
    parts, pixels = swaps.PARTS[name]
    classes = len(study.classes)
    totals = np.zeros(len(parts))
    for look, one, other, sign in trials.pairs[:LOCALISED]:
        if time.monotonic() > deadline:
            break
        sample = sample_of(study, look.record)
        if sample is None:
            continue
        size = sample.truth.shape[0], sample.truth.shape[1]
        for place, part in enumerate(parts):
            mask = pixels(size, part)
            maps = [labels_of(study, swaps.pasted(sample.image, donor.image, mask)) for donor in (one, other)]
            difference, _ = measures.areas(maps[0], maps[1], (look.truth != IGNORE) & ~mask, classes)
            totals[place] += (difference * sign).sum()
    best = int(totals.argmax())
    if totals[best] <= 0.5 * np.maximum(totals, 0).sum():
        return WORDS[name]
    return f"the {parts[best]} corner of the image" if name == "corners" else f"the strip along the {parts[best]} side"


def _example(study: Study, trials: Trials, effect: Effect) -> tuple[Drawing, ...]:
    """Show the image on which the swap does most: as it is, and with the part of either image."""
    row = list(WORDS).index(effect.swap)
    place = int(np.argmax([more[row, effect.index] for more in trials.more]))
    look, one, other, sign = trials.pairs[place]
    sample = sample_of(study, look.record)
    if sample is None:
        return ()
    if sign[effect.index] < 0:
        one, other = other, one
    name, part = study.classes.names[effect.index], WORDS[effect.swap]
    captions = {
        f"{look.record.id}: as it is": sample.image,
        f"with {part} of {one.record.id}, which shows {name}": swapped(
            effect.swap, sample, one, study.classes.background
        )[0],
        f"with {part} of {other.record.id}, which shows none or less": swapped(
            effect.swap, sample, other, study.classes.background
        )[0],
    }
    predictor = study.predictor
    return tuple(
        Drawing(caption, predictor.task.overlay(image, predictor.result(image), study.classes))
        for caption, image in captions.items()
    )


def _cures(study: Study, names: list[str]) -> tuple[Cure, ...]:
    data = (str(study.dataset.root),)
    cures: list[Cure] = []
    if {"corners", "frame"} & set(names):
        crop = ", ".join(str(max(32, side // 2 // 32 * 32)) for side in study.predictor.card.predict.tile_size)
        cures.append(
            Cure(
                "Cut off or cover that part of the training images, then train anew. Until then, smaller crops seldom "
                "show the border of the image together with the objects:",
                "train",
                data,
                {"settings": (f"sampling.crop=[{crop}]",)},
            )
        )
    for name, (why, settings) in TRAINING.items():
        if name in names:
            cures.append(Cure(why, "train", data, {"settings": settings}))
    return tuple(cures)
