"""Imbalance: how much of each class the training showed, and how well it is found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskwright.core.answers import Answer, Cure, Figure, Grid
from maskwright.core.text import count, listing, percent
from maskwright.core.text import share as written
from maskwright.workflows.runs import run_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from maskwright.core.answers import Cell
    from maskwright.core.plan import Plan
    from maskwright.metrics.scores import Estimate, Scores
    from maskwright.workflows.diagnose_parts.study import Study

FEW_IMAGES = 20
"""Training images that show a class, below which it is short of data."""
RARE = 0.25
"""Share of the pixels relative to that of a class on average, below which a class is rare."""
WEAK = 0.1
"""By how much a class lies below the mean of the others, to be weak."""
QUESTION = "The classes are imbalanced: does it matter, and what helps?"


def imbalance(study: Study, train: Scores | None) -> Iterator[Answer]:
    """Compare the share of each class in the training with its score."""
    names = study.classes.names
    if len(names) < 2 or not study.scores.classes:
        return
    pixels, images = _shown(study, train)
    key = study.scores.headline
    found = {entry.name: entry.values for entry in study.scores.classes}
    scores = {name: values[key] for name, values in found.items() if key in values}
    total = max(1, sum(pixels.values()))
    rows = tuple(
        (
            name,
            written(pixels.get(name, 0) / total),
            count(images[name]) if name in images else "unknown",
            _figure(found[name].get("recall")) if name in found else "",
            _figure(scores.get(name)),
        )
        for name in sorted(names, key=lambda name: pixels.get(name, 0))
        if name in scores
    )
    weak = _weak(scores, higher=study.scores.headline_metric.higher_is_better)
    rare = [name for name in weak if pixels.get(name, 0) / total < RARE / len(names)]
    few = [name for name in scores if name in images and images[name] < FEW_IMAGES]
    label = study.scores.headline_metric.label
    yield Answer(
        "imbalance",
        QUESTION,
        _verdict(rare, few, weak, {name: pixels.get(name, 0) / total for name in names}, scores, label),
        "warning" if rare or set(few) & set(weak) else "note" if few else "good",
        sum(weak[name] for name in rare) / len(scores) / 2 if study.scores.headline_metric.unit == "share" else 0.0,
        grids=(
            Grid(
                "Classes, the rarest first: what the training shows of them, and how well they are found",
                ("class", "of the pixels", "training images", "recall", label),
                rows,
            ),
        ),
        cures=_cures(study) if rare else (),
        method=f"A class is weak if its {label} lies more than {100 * WEAK:.0f} points below the mean of the others, "
        f"rare if it fills less than {percent(RARE / len(names))} of the pixels, and short of data if fewer than "
        f"{FEW_IMAGES} training images show it.",
    )


def _shown(study: Study, train: Scores | None) -> tuple[dict[str, int], dict[str, int]]:
    """Return pixels of each class, and the training images that show it, as far as they are known."""
    path = study.home / run_folder.FINGERPRINT
    if path.exists():
        stats = {entry.name: entry for entry in run_folder.read_fingerprint(study.home).class_stats}
        if set(study.classes.names) <= set(stats):
            names = study.classes.names
            return (
                {name: stats[name].pixels for name in names},
                {name: stats[name].images.get("train", stats[name].images.get("all", 0)) for name in names},
            )
    seen = train or study.scores
    return {entry.name: entry.pixels for entry in seen.classes}, {}


def _weak(scores: dict[str, Estimate], *, higher: bool) -> dict[str, float]:
    """Return by how much each weak class lies below the mean of the others."""
    known = {name: entry.value for name, entry in scores.items() if entry.value is not None}
    if len(known) < 2:
        return {}
    total = sum(known.values())
    lacks = {name: (total - value) / (len(known) - 1) - value for name, value in known.items()}
    return {name: abs(lack) for name, lack in lacks.items() if (lack if higher else -lack) > WEAK}


def _verdict(
    rare: list[str],
    few: list[str],
    weak: dict[str, float],
    shares: dict[str, float],
    scores: dict[str, Estimate],
    label: str,
) -> str:
    said = []
    if rare:
        values = {name: percent(scores[name].value or 0) for name in rare}
        words = [f"{name} ({written(shares[name])} of the pixels, {label} {values[name]})" for name in rare]
        said.append(f"Rare and weak: {listing(words)}.")
    if few:
        said.append(f"Shown by fewer than {FEW_IMAGES} training images: {listing(few)}; more of them are needed.")
    if not rare and weak:
        said.append(f"Weak, but not rare: {listing(list(weak))}; their confusions say more.")
    if not said:
        said.append("No class is rare and weak.")
    return " ".join(said)


def _figure(entry: Estimate | None) -> Cell:
    return "" if entry is None else Figure("", entry.value, entry.low, entry.high)


def _cures(study: Study) -> tuple[Cure, ...]:
    """Return the settings of loss and sampling that favour rare classes and that the run does not have."""
    run, data = str(study.run), (str(study.dataset.root),)
    return tuple(
        Cure(why, "train", data, {"from_run": run, "settings": (setting,)}) for why, setting in _settings(study.plan)
    )


def _settings(plan: Plan | None) -> Iterator[tuple[str, str]]:
    if plan is None or plan.sampling.rare_share < 0.75:
        yield "Centres three quarters of the crops on rare classes.", "sampling.rare_share=0.75"
    if plan is None or plan.loss.class_weighting != "median-frequency":
        yield "Weights rare classes more than the plan does.", "loss.class_weighting=median-frequency"
    if plan is None or "focal" not in plan.loss.terms:
        yield "The focal loss weights pixels that are still wrong.", "loss.terms={focal: 1.0, dice: 1.0}"
