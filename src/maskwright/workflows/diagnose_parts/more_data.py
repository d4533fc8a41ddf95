"""Would more labels help: short trainings on nested parts of the training images, and the curve of their scores."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from maskwright.core.answers import Answer, Cure, Figure, Grid, Plot
from maskwright.core.errors import MaskwrightError
from maskwright.core.text import count, plural
from maskwright.diagnosis import learning_curve
from maskwright.inference.predictor import Predictor
from maskwright.workflows.diagnose_parts.label_next import label_next
from maskwright.workflows.diagnose_parts.short_runs import Setup, too_short
from maskwright.workflows.diagnose_parts.subsets import beginning, ordered, short_plan, trained
from maskwright.workflows.runs import run_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from maskwright.core.answers import Unit
    from maskwright.diagnosis.learning_curve import Curve
    from maskwright.workflows.diagnose_parts.study import Study

SHARES = (1.0, 0.125, 0.25, 0.5)
"""Of the training images, in the order of the trainings: the largest counts most if the time runs out."""
LOOKING = 0.15
"""Share of the time for images without labels."""
SEEDS = 2
"""Trainings for each share, if there is time."""
WORTH, HARDLY = 0.01, 0.005
"""Gain from which on more labels are worth their while, and below which they hardly help."""
QUESTION = "Would more labels help?"


@dataclass(frozen=True)
class Point:
    """One short training.

    Attributes:
        images: that it was trained on.
        score: on the held-out images, higher is better.
        errors: of the held-out images, by id.
    """

    images: int
    score: float
    errors: dict[str, float]


def more_data(study: Study, deadline: float) -> Iterator[Answer]:
    """Say which images to label next; train on parts of the training images, and say what more of them would bring."""
    now = time.monotonic()
    order = label_next(study, now + LOOKING * (deadline - now))
    yield _curve_answer(study, deadline)
    yield order


def _curve_answer(study: Study, deadline: float) -> Answer:
    try:
        setup = Setup.of(study)
    except MaskwrightError as error:
        return Answer("more-data", QUESTION, f"Not measured: {error}.", "open")
    steps, minutes = setup.steps(len(SHARES), deadline)
    if minutes:
        return too_short("more-data", QUESTION, setup, len(SHARES), minutes)
    with tempfile.TemporaryDirectory(prefix="maskwright-") as folder:
        points = train_points(setup, SHARES, steps, Path(folder), deadline)
    return _answer(setup, points, steps)


def train_points(setup: Setup, shares: Sequence[float], steps: int, folder: Path, deadline: float) -> list[Point]:
    """Train once for each share of the training images, and again with other subsets while the time allows.

    Args:
        setup: what the trainings share.
        shares: of the training images.
        steps: of each training.
        folder: for the runs.
        deadline: no training begins that would end later, but for the first three.
    """
    points: list[Point] = []
    longest = 0.0
    for place in range(SEEDS * len(shares)):
        share, seed = shares[place % len(shares)], place // len(shares)
        started = time.monotonic()
        if place >= learning_curve.FEWEST and started + longest > deadline:
            break
        points.append(_point(setup, share, steps, seed, folder / str(place)))
        longest = max(longest, time.monotonic() - started)
    return points


def _point(setup: Setup, share: float, steps: int, seed: int, out: Path) -> Point:
    """Train on a share of the images, and score on the held-out ones."""
    study = setup.study
    own = study.request.seed + seed
    records, whole = ordered(setup.material.dataset.part("train"), own)
    kept = beginning(records, share, whole=whole)
    report = study.progress(f"train on {plural(len(kept), 'image')}")
    plan = short_plan(setup.plan, steps, own)
    run = trained(study.home, setup.material, kept, plan, out, study.request.device, report)
    scores = study.scored(records=setup.held_out, predictor=Predictor.load(run, study.request.device))
    return Point(len(kept), setup.sign * (scores.score.value or 0.0), scores.image_errors)


def fitted(setup: Setup, points: Sequence[Point]) -> Curve:
    """Fit the curve to the points, with the images that all of them scored."""
    ids = [record.id for record in setup.held_out if all(record.id in point.errors for point in points)]
    groups = {record.id: record.group for record in setup.held_out}
    each = -np.array([[point.errors[name] for point in points] for name in ids]).reshape(len(ids), -1)
    top = 1.0 if setup.study.scores.headline_metric.unit == "share" and setup.sign > 0 else np.inf
    return learning_curve.fit(
        [point.images for point in points],
        [point.score for point in points],
        each,
        [groups[name] for name in ids],
        top,
        setup.study.request.seed,
    )


def _answer(setup: Setup, points: Sequence[Point], steps: int) -> Answer:
    if len({point.images for point in points}) < learning_curve.FEWEST:
        why = "Not measured: the groups of the training images are too few or too large for three nested subsets."
        return Answer("more-data", QUESTION, why, "open")
    study, curve = setup.study, fitted(setup, points)
    now = len(setup.material.dataset.part("train"))
    more = 100 if now >= 50 else now
    gain, (low, high) = curve.gain(now, more), curve.gain_interval(now, more)
    metric = study.scores.headline_metric
    share = metric.unit == "share"
    written = f"{100 * gain:+.1f} points ({100 * low:.1f} to {100 * high:.1f})" if share else f"{gain:.3g} better"
    hardly, worth = share and high < HARDLY, low > 0 and (not share or gain >= WORTH)
    verdict = f"{count(more)} more images: {written} of {metric.label}, from {count(now)} training images. " + (
        "More images of this kind hardly help." if hardly else "They are worth labelling." if worth else ""
    )
    cures = () if hardly else _cures(study)
    return Answer(
        "more-data",
        QUESTION,
        (verdict.strip() + _limits(setup, steps)),
        "good" if hardly else "warning" if worth else "note",
        max(0.0, gain) if share and worth else 0.0,
        (Figure(f"gain by {count(more)} more images", gain, low, high, "points" if share else ""),),
        (_table(setup, curve, points, now),),
        (_plot(setup, curve, points, now),),
        cures=cures,
        method=f"{plural(len(points), 'training')} of {plural(steps, 'step')} each by the plan of this run, on nested "
        f"parts of its training images, scored on the same {plural(len(setup.held_out), 'held-out image')}. The curve "
        f"is score = {curve.a:.3f} - {curve.b:.3g} n^-{curve.c:.2f}; two trainings differ by about "
        f"{100 * curve.spread:.1f} points.",
    )


def _limits(setup: Setup, steps: int) -> str:
    """Say what the curve does not hold for."""
    study, said = setup.study, ""
    own = int(study.history[-1]["step"] or steps)
    if steps < 0.7 * own:
        said += f" This holds for trainings of {plural(steps, 'step')}; the run had {count(own)}."
    if not ordered(setup.material.dataset.part("train"), 0)[1] and any(
        record.group for record in setup.material.dataset.part("train")
    ):
        said += " Each part holds images of every group, so this is about more images of the same groups."
    weights = setup.plan.model.weights
    if weights is not None and (Path(weights).parent / run_folder.SPLIT).exists():
        said += " All trainings started from another run; if that saw these images, the gain is larger than shown."
    return said


def _cures(study: Study) -> tuple[Cure, ...]:
    why = "Draft masks for images without labels, to be corrected by hand; label-next says which to take first."
    return (Cure(why, "predict", (str(study.run), "FOLDER")),)


def _table(setup: Setup, curve: Curve, points: Sequence[Point], now: int) -> Grid:
    """Tabulate measured and expected scores."""
    metric, sign = setup.study.scores.headline_metric, setup.sign
    unit: Unit = "share" if metric.unit == "share" else ""
    rows = [(count(point.images), "measured", Figure("", sign * point.score, unit=unit)) for point in points]
    for factor in (1, 1.5, 2, 4):
        low, high = sorted(sign * end for end in curve.interval(factor * now))
        figure = Figure("", sign * curve.score(factor * now), low, high, unit)
        rows.append((count(factor * now), "expected", figure))
    rows.sort(key=lambda row: (int(row[0].replace(",", "")), row[1] == "expected"))
    return Grid(f"{metric.label} by number of training images", ("images", "", metric.label), tuple(rows))


def _plot(setup: Setup, curve: Curve, points: Sequence[Point], now: int) -> Plot:
    """Draw the curve with its interval."""
    metric, sign = setup.study.scores.headline_metric, setup.sign
    places = np.geomspace(min(point.images for point in points), 4 * now, 25)
    ends = [curve.interval(place) for place in places]
    lines = {
        "measured": tuple(sorted((float(point.images), sign * point.score) for point in points)),
        "expected": tuple((float(place), sign * curve.score(place)) for place in places),
        "lower end": tuple((float(place), sign * end[0]) for place, end in zip(places, ends, strict=True)),
        "upper end": tuple((float(place), sign * end[1]) for place, end in zip(places, ends, strict=True)),
    }
    return Plot(
        f"{metric.label} by number of training images", "training images", metric.label, lines, metric.unit == "share"
    )
