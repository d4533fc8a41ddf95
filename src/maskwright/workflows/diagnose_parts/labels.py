"""Label errors: the likeliest ones among the images that were looked at, with the two readings beside one another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from maskwright.core.answers import Answer, Cure, Drawing, Grid
from maskwright.core.text import count, percent, plural
from maskwright.data.targets import read_sample
from maskwright.diagnosis import label_errors
from maskwright.ops.draw import overlay, to_rgb8
from maskwright.workflows.diagnose_parts.figures import ratio

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from maskwright.core.answers import Figure
    from maskwright.diagnosis.label_errors import Suspect
    from maskwright.workflows.diagnose_parts.study import Look, Study

SHOWN, DRAWN = 20, 8
MANY = 0.005
"""Share of the pixels under suspicion from which on the labels are called doubtful."""
QUESTION = "Are labels wrong?"


def labels(study: Study) -> Answer:
    """List and draw the regions whose annotation is likely wrong."""
    looks = [look for look in study.looks if look.record.split != "train" and look.confidence is not None]
    if not looks:
        why = "Not measured: this needs the probability of each pixel's class on held-out images, and there are none."
        cure = Cure("Shows the images that differ most from their annotation.", "diagnose",
                    (str(study.run), str(study.dataset.root)), {"question": ("worst",)})  # fmt: skip
        return Answer("labels", QUESTION, why, "open", cures=(cure,))
    maps = [_maps(look) for look in looks]
    least = label_errors.sureness(maps, len(study.classes))
    doubted = label_errors.recognised(maps, len(study.classes))
    pairs = zip(looks, maps, strict=True)
    found = [(look, entry) for look, part in pairs for entry in label_errors.suspects(*part, least, doubted)]
    found.sort(key=lambda pair: -pair[1].weight)
    share = _share(looks, found)
    value = share.value or 0.0
    names = study.classes.names
    unsure = [names[index] for index in np.flatnonzero(~np.isfinite(least))]
    if found:
        first = found[0][1]
        verdict = (
            f"{plural(len(found), 'region')} of {plural(len(looks), 'held-out image')} may be labelled wrongly, "
            f"{percent(value, 2)} of the pixels; the likeliest is {names[first.given]} that looks like "
            f"{names[first.read]}, in {found[0][0].record.id}. Look at them: a model can be sure and wrong."
        )
    else:
        verdict = f"No region of {plural(len(looks), 'held-out image')} is likely to be labelled wrongly."
    if unsure:
        verdict += (
            f" For {plural(len(unsure), 'class', 'classes')} the model is not reliable enough to judge the labels."
        )
    cures = (Cure("Lists faults of the files themselves: other sizes, unknown values, duplicates.", "inspect",
                  (str(study.dataset.root),)),)  # fmt: skip
    return Answer(
        "labels",
        QUESTION,
        verdict,
        "warning" if value >= MANY else "note" if found else "good" if len(unsure) < len(names) else "open",
        value,
        (share,),
        (_table(study, found),) if found else (),
        drawings=tuple(_drawn(study, look, entry) for look, entry in found[:DRAWN]),
        legend=_legend(study, found[:DRAWN]),
        cures=cures if found else (),
        method=f"A region counts if the model reads another class with at least the confidence that is usual for that "
        f"class, if at least {percent(label_errors.RIGHT, 0)} of such sure readings agree with the annotation, "
        f"if the model finds at least {percent(label_errors.FOUND, 0)} of the labelled class elsewhere, and beyond"
        f" {label_errors.TOLERANCE:g} pixels from a border. Only held-out images: a model repeats the errors of "
        "the labels that it was trained on. To look at training images, train with another split and diagnose again.",
    )


def _maps(look: Look) -> tuple[NDArray[np.uint8], NDArray[np.float16], NDArray[np.uint8]]:
    assert look.labels is not None
    assert look.confidence is not None
    return look.labels, look.confidence, look.truth


def _share(looks: list[Look], found: list[tuple[Look, Suspect]]) -> Figure:
    """Return the share of pixels under suspicion."""
    pixels = {look.record.id: 0 for look in looks}
    for look, entry in found:
        pixels[look.record.id] += entry.pixels
    rows = np.array([[pixels[look.record.id], look.truth.size] for look in looks], np.float64)
    return ratio("pixels that may be labelled wrongly", rows, [look.record.group for look in looks])


def _table(study: Study, found: list[tuple[Look, Suspect]]) -> Grid:
    names = study.classes.names
    rows = tuple(
        (
            look.record.id,
            f"{entry.left}, {entry.top}",
            count(entry.pixels),
            names[entry.given],
            names[entry.read],
            percent(entry.confidence),
        )
        for look, entry in found[:SHOWN]
    )
    header = ("image", "x, y", "pixels", "labelled", "model says", "confidence")
    return Grid("The likeliest label errors, the likeliest first", header, rows)


def _legend(study: Study, drawn: list[tuple[Look, Suspect]]) -> tuple[tuple[str, tuple[int, int, int]], ...]:
    """Return names and colours of the classes that the drawings are about."""
    classes = study.classes
    shown = dict.fromkeys(index for _, entry in drawn for index in (entry.given, entry.read))
    return tuple((classes.names[index], classes.colors[index]) for index in shown)


def _drawn(study: Study, look: Look, entry: Suspect) -> Drawing:
    """Draw a region with its surroundings three times: the image, the annotation, what the model says."""
    image, _ = read_sample(study.dataset, look.record, study.predictor.task.target)
    margin = max(24, entry.bottom - entry.top, entry.right - entry.left) // 2
    rows = slice(max(0, entry.top - margin), entry.bottom + margin)
    columns = slice(max(0, entry.left - margin), entry.right + margin)
    plain = to_rgb8(image)
    panels = [plain, *(overlay(plain, maps, study.classes) for maps in (look.truth, _maps(look)[0]))]
    gap = np.full((plain[rows, columns].shape[0], 4, 3), 255, np.uint8)
    parts = [part for panel in panels for part in (panel[rows, columns], gap)][:-1]
    names = study.classes.names
    return Drawing(
        f"{look.record.id}: image, annotation ({names[entry.given]}), model ({names[entry.read]}, "
        f"{percent(entry.confidence)})",
        np.ascontiguousarray(np.concatenate(parts, 1)),
    )
