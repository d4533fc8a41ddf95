"""How often `diagnose` names a planted kind of bad images among its first three hints.

A trained model predicts held-out images once. Then, in each draw, three quarters of them are taken, and the predictions
of one kind of them are spoilt: the darkest quarter, the brightest, or another end of what is measured of an image; or a
quarter drawn at random, whose images are darkened below all others. They are spoilt until they are so many points worse
than the other images: by blocks of pixels that get a wrong class, or, where a network of objects is judged by a score,
in the score. Then kinds of images are compared as `diagnose` does.

Reported are the share of draws in which the planted kind is among the first three hints, and in which it is called
certain; and, where nothing was spoilt, how often any kind is called certain.

Run: OMP_NUM_THREADS=1 python -m benchmarks.planted_slices RUN DATA [--draws 20]
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from maskwright.core.classes import IGNORE
from maskwright.diagnosis.image_facts import FACTS
from maskwright.workflows.diagnose_parts.study import Study
from maskwright.workflows.diagnose_parts.which_images import _kinds
from maskwright.workflows.diagnose_request import DiagnoseRequest
from maskwright.workflows.evaluate_parts.evaluation import opened
from maskwright.workflows.request import EvaluateRequest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from maskwright.core.answers import Answer
    from maskwright.metrics.scores import Scores
    from maskwright.workflows.diagnose_parts.study import Look, Seen

KEPT, QUARTER = 0.75, 0.25
BLOCK = 16
"""Side of the blocks of pixels that get a wrong class."""
DARKENED = 0.9
"""Brightness of darkened images, as a share of that of the darkest one."""
LOSSES = (0.02, 0.05, 0.1, 0.2)
"""How much worse the spoilt images are than the others: share of wrong pixels, or loss of the score."""


@dataclass(frozen=True)
class Predicted:
    """Held-out images as they were predicted, and their scores."""

    looks: list[Look]
    scores: Scores


def predicted(study: Study) -> Predicted:
    """Predict all held-out images."""
    looks: list[Look] = []

    def seen(image: Seen) -> bool:
        looks.append(study._looked_at(image))
        return True

    scores = study.scored(records=study.records("val", "test"), seen=seen)
    return Predicted(looks, scores)


def spoilt(look: Look, share: float, classes: int, rng: np.random.Generator) -> Look:
    """Give a wrong class to blocks of pixels, until about this share of the known pixels is wrong in addition."""
    assert look.labels is not None
    labels, known = look.labels.copy(), look.truth != IGNORE
    right = (labels == look.truth) & known
    height, width = labels.shape
    wanted, made = share * known.sum(), 0
    for _ in range(100 * labels.size // BLOCK**2):
        if made >= wanted:
            break
        top, left = rng.integers(max(1, height - BLOCK)), rng.integers(max(1, width - BLOCK))
        block = (slice(top, top + BLOCK), slice(left, left + BLOCK))
        wrong = (look.truth[block] + rng.integers(1, classes)) % classes
        hit = right[block].copy()
        labels[block][hit] = wrong[hit]
        right[block][hit] = False
        made += int(hit.sum())
    return replace(look, labels=labels)


def darkened(facts: dict[str, float], darkest: float) -> dict[str, float]:
    """Return the facts of an image that is multiplied until it is darker than the darkest."""
    factor = DARKENED * darkest / facts["brightness"]
    linear = ("brightness", "contrast", "colourfulness")
    return {name: value * factor if name in linear else value for name, value in facts.items()}


def asked(study: Study, found: Predicted, looks: list[Look], errors: dict[str, float], seed: int) -> Answer:
    """Compare kinds of images as the section `where` does."""
    stand_in: Any = SimpleNamespace(
        looks=looks,
        scores=SimpleNamespace(confusion=found.scores.confusion, image_errors=errors),
        classes=study.classes,
        dataset=study.dataset,
        run=study.run,
        request=SimpleNamespace(seed=seed),
    )
    return _kinds(stand_in)


def ends_of(looks: Sequence[Look]) -> dict[str, NDArray[np.intp]]:
    """Return the lowest and the highest quarter of each measured fact: name -> places."""
    found = {}
    for fact, words in FACTS.items():
        values = np.array([look.facts[fact] for look in looks])
        low, high = np.quantile(values, (QUARTER, 1 - QUARTER))
        if low < high:
            for word, chosen in zip(words, (values <= low, values >= high), strict=True):
                found[f"{word} images"] = np.flatnonzero(chosen)
    return found


def draw(study: Study, found: Predicted, loss: float, seed: int) -> tuple[str, Answer]:
    """Plant one slice among some of the images; the kinds take turns, and one in four is darkened."""
    rng = np.random.default_rng(seed)
    number = len(found.looks)
    places = np.sort(rng.permutation(number)[: round(KEPT * number)])
    looks = [found.looks[place] for place in places]
    if seed % 4 == 0:
        name, bad = "dark images", rng.permutation(len(looks))[: round(QUARTER * len(looks))]
        darkest = min(look.facts["brightness"] for look in looks)
        for place in bad:
            looks[place] = replace(looks[place], facts=darkened(looks[place].facts, darkest))
    else:
        kinds = ends_of(looks)
        name = "dark images" if seed % 4 == 1 else sorted(kinds)[seed // 4 % len(kinds)]
        bad = kinds[name]
    errors = dict(found.scores.image_errors)
    inside = np.isin(np.arange(len(looks)), bad)
    each = np.array([_error(look, {} if found.scores.confusion else errors) for look in looks])
    more = loss + max(0.0, np.nanmean(each[~inside]) - np.nanmean(each[inside]))
    for place in bad if loss else ():
        look = looks[place]
        if look.labels is not None and found.scores.confusion:
            looks[place] = spoilt(look, more, len(study.classes), rng)
        elif look.record.id in errors:
            errors[look.record.id] = min(1.0, errors[look.record.id] + 2 * more * rng.random())
    return name, asked(study, found, looks, errors, seed)


def _error(look: Look, errors: dict[str, float]) -> float:
    """Return the error of an image, or the share of wrong pixels where there are no errors; NaN where it is unknown."""
    known = look.truth != IGNORE
    if errors or look.labels is None or not known.any():
        return errors.get(look.record.id, float("nan"))
    return float((look.labels != look.truth)[known].mean())


def main() -> None:
    """Plant slices, and print how often they are named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--draws", type=int, default=20)
    given = parser.parse_args()
    study = Study(
        opened(given.run, given.data, EvaluateRequest("test")), DiagnoseRequest("1h"), time.monotonic() + 3600
    )
    found = predicted(study)
    groups = len({look.record.group or look.record.id for look in found.looks})
    print(f"{given.data.name}: {len(found.looks)} images in {groups} groups, {given.draws} draws of each")
    for loss in (0.0, *LOSSES):
        named = dark = darks = certain = alarms = 0
        missed: list[str] = []
        for seed in range(given.draws):
            name, answer = draw(study, found, loss, seed)
            hints = [row[0] for row in answer.grids[0].rows[:3]] if answer.grids else []
            named += name in hints
            missed += [] if name in hints else [f"{seed}: {name}, but {', '.join(map(str, hints)) or 'none'}"]
            if name == "dark images":
                darks += 1
                dark += name in hints
            sure = [figure.name.removeprefix("more errors on ") for figure in answer.figures]
            certain += name in sure
            alarms += bool(sure)
        print(
            f"  {100 * loss:4.0f} points worse: in the top three {named}/{given.draws}, of dark images {dark}/{darks}; "
            f"called certain {certain}/{given.draws}, anything called certain {alarms}/{given.draws}"
        )
    print("  not named at the last:", "; ".join(missed) or "none")


if __name__ == "__main__":
    main()
