"""Whether the risk that a prediction comes with tells bad results from good ones, and from which risk on to reject."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from maskwright.core.answers import Answer, Cure, Figure, Grid, Plot
from maskwright.core.seeds import generator
from maskwright.core.text import listing, percent, plural
from maskwright.diagnosis import selective
from maskwright.diagnosis.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from maskwright.diagnosis.risk import risk_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from maskwright.core.records import Record
    from maskwright.core.targets import Target
    from maskwright.metrics.scores import Scores
    from maskwright.workflows.diagnose_parts.study import Alter, Seen, Study

GOOD_WAY, GOOD_AREA = 0.5, 0.85
"""From where on a risk is good: its way from a random order to the best, or how well it finds the worst fifth."""
KEPT = 0.8
"""Share of the validation images that the threshold keeps."""
SHOWN = 8
QUESTION = "Does it know when it is wrong?"


@dataclass(frozen=True, eq=False)
class _Judged:
    """Images with their risk and error: `risk` and `error` (n,), and the `groups` of the images."""

    names: list[str]
    risk: NDArray[np.float64]
    error: NDArray[np.float64]
    groups: list[str | None]

    @classmethod
    def of(cls, scores: Scores, risks: Sequence[float | None]) -> _Judged:
        """Pair scores with risks in the same order; images without one of the two are left out."""
        errors = scores.image_errors
        rows = [
            (entry.id, risk, errors[entry.id], entry.group)
            for entry, risk in zip(scores.per_image, risks, strict=True)
            if entry.id in errors and risk is not None
        ]
        names, risk, error, groups = zip(*rows, strict=True) if rows else ((), (), (), ())
        return cls(list(names), np.array(risk, np.float64), np.array(error, np.float64), list(groups))

    def __len__(self) -> int:
        return len(self.names)

    def with_(self, other: _Judged) -> _Judged:
        """Return both together; an image and its copy depend on one another."""
        joined = [group or name for one in (self, other) for group, name in zip(one.groups, one.names, strict=True)]
        risk, error = np.concatenate([self.risk, other.risk]), np.concatenate([self.error, other.error])
        return _Judged([*self.names, *other.names], risk, error, list(joined))


def risks(study: Study, deadline: float) -> Iterator[Answer]:
    """Judge the risk of images, also on corrupted copies, and of objects."""
    clean = _Judged.of(study.scores, [look.risk for look in study.looks])
    if len(clean) < selective.FEWEST or not np.ptp(clean.error) > 0:
        words = (
            f"{plural(len(clean), 'image')} {'has' if len(clean) == 1 else 'have'} a score and a risk: too few to "
            f"judge it ({selective.FEWEST} that differ are needed). Label more test images."
        )
        yield Answer("risk", QUESTION, words, "open")
        return
    found = {"clean images": clean}
    threshold, source = _threshold(study, clean, time.monotonic() + max(0, deadline - time.monotonic()) / 2)
    spoilt = _corrupted(study, deadline)
    if len(spoilt) >= selective.FEWEST:
        found["clean images and corrupted copies"] = clean.with_(spoilt)
    objects = _objects(study)
    yield _answer(study, found, threshold, source, objects)


def _threshold(study: Study, clean: _Judged, deadline: float) -> tuple[float, str]:
    """Return the risk that four of five validation images stay below, and where it comes from."""
    records = study.records("val")
    if study.request.split != "test" or not records:
        return float(np.quantile(clean.risk, KEPT)), "these images"
    known = [risk for risk in _scored(study, records, deadline)[1] if risk is not None]
    if not known:
        return float(np.quantile(clean.risk, KEPT)), "these images"
    return float(np.quantile(known, KEPT)), plural(len(known), "validation image")


def _corrupted(study: Study, deadline: float) -> _Judged:
    """Score copies of the images, each corrupted in a way drawn for it."""
    names = [name for name, entry in CORRUPTIONS.items() if entry.move is None]
    draw = generator(study.request.seed, "risk")

    def alter(image: NDArray[Any], target: Target) -> tuple[NDArray[Any], Target]:
        name, severity = names[draw.integers(len(names))], int(draw.integers(len(SEVERITIES)))
        return corrupt(image, target, name, severity, draw)

    return _Judged.of(*_scored(study, [look.record for look in study.looks], deadline, alter))


def _scored(
    study: Study, records: Sequence[Record], deadline: float, alter: Alter | None = None
) -> tuple[Scores, list[float | None]]:
    """Score images, and return the risk of each too, in their order."""
    found: list[float | None] = []

    def seen(image: Seen) -> bool:
        found.append(risk_of(study.predictor, image.blocks, image.target.size))
        return True

    return study.scored(alter, records, deadline=deadline, seen=seen), found


def _objects(study: Study) -> tuple[Figure, ...]:
    """Return how well the risk of an object tells wrong objects from right ones."""
    looks = [look for look in study.looks if len(look.objects)]
    if not looks:
        return ()
    risk, quality = np.concatenate([look.objects for look in looks]).T
    groups = [look.record.group or look.record.id for look in looks for _ in look.objects]
    return (Figure("wrong objects found (AUROC)", *selective.told_apart(risk, quality < selective.RIGHT, groups)),)


def _answer(
    study: Study, found: dict[str, _Judged], threshold: float, source: str, objects: tuple[Figure, ...]
) -> Answer:
    clean = found["clean images"]
    results = {name: selective.judged(one.risk, one.error, one.groups) for name, one in found.items()}
    figures = {
        name: (
            Figure("of the way to a perfect order", *each["recovered"]),
            Figure("worst fifth found (AUROC)", *each["auroc"]),
        )
        for name, each in results.items()
    }
    way, area = figures["clean images"]
    good = (way.value or 0) >= GOOD_WAY, (area.value or 0) >= GOOD_AREA
    over = clean.risk > threshold
    words = (
        f"{'Yes' if all(good) else 'Partly' if any(good) else 'Hardly'}: sorting the images by their risk goes "
        f"{percent(way.value or 0, 0)} of the way from a random order to the order of their true errors. Of an image "
        f"among the worst fifth and another one, the worse one has the higher risk in {percent(area.value or 0, 0)} of "
        "the cases (50% by chance). "
    )
    gain = 0.0
    if over.any() and not over.all() and study.scores.image_headline.unit == "share":
        kept, left = 1 - clean.error[~over].mean(), 1 - clean.error[over].mean()
        gain = max(0.0, float(kept - (1 - clean.error).mean()))
        label = study.scores.image_headline.label
        words += (
            f"Of {plural(len(clean), 'image')}, {over.sum()} have a risk above {threshold:.2f}: their mean {label} is "
            f"{percent(left)}, that of the others {percent(kept)}."
        )
    grid = Grid(
        "How well the risk finds bad images",
        ("images", "number", "of the way to a perfect order", "worst fifth found (AUROC)"),
        tuple((name, str(len(found[name])), *pair) for name, pair in figures.items()),
    )
    return Answer(
        "risk",
        QUESTION,
        words.strip(),
        "good" if all(good) else "note" if any(good) else "warning",
        gain if any(good) else 0.0,
        (way, area, *objects),
        (grid, _riskiest(clean, threshold)),
        (_curve(clean),),
        cures=_cures(study, threshold, source) if any(good) else (),
        method="The risk of an image is 1 - the IoU that the network's own probabilities promise, from the one pass "
        "that predicts it; that of an image of objects 1 - their mean score. The way is measured by the area under the "
        "risk-coverage curve (AURC); corrupted copies are drawn from "
        f"{listing([entry.words for entry in CORRUPTIONS.values() if entry.move is None], 12)}. The threshold keeps "
        f"four of five of {source}.",
    )


def _riskiest(clean: _Judged, threshold: float) -> Grid:
    rows = [
        (clean.names[place], Figure("", float(clean.risk[place])), Figure("", float(clean.error[place])))
        for place in np.argsort(-clean.risk)[:SHOWN]
    ]
    return Grid(f"The riskiest images (rejected above {percent(threshold)})", ("image", "risk", "error"), tuple(rows))


def _curve(clean: _Judged) -> Plot:
    """Draw the mean error of the images that are kept over their share."""
    shares = [100 * (place + 1) / len(clean) for place in range(len(clean))]
    mean = float(clean.error.mean())
    lines: dict[str, Iterable[float]] = {
        "by risk": selective.coverage_errors(clean.risk, clean.error),
        "by true error": selective.coverage_errors(clean.error, clean.error),
        "at random": [mean] * len(clean),
    }
    points = {
        name: tuple((x, float(y)) for x, y in zip(shares, values, strict=False)) for name, values in lines.items()
    }
    return Plot("Mean error of the least risky images", "images kept, in percent", "mean error", points)


def _cures(study: Study, threshold: float, source: str) -> tuple[Cure, ...]:
    why = f"Marks new images whose risk is above {threshold:.2f}, so that you can check them. Four of five of "
    why += f"{source} are below."
    return (Cure(why, "predict", (str(study.run), "IMAGES"), {"reject": f"{threshold:.3f}"}),)
