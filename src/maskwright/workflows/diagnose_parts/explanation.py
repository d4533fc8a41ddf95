"""Why this mask: what a region of a prediction depends on, shown only where the picture passes its own tests."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from maskwright.core.answers import Answer, Cure, Drawing, Figure, Grid
from maskwright.core.channels import emits_objects
from maskwright.core.text import listing, percent
from maskwright.diagnosis import cam, occlusion
from maskwright.diagnosis.receptive_field import receptive_field
from maskwright.diagnosis.region import low_pass, plain, window
from maskwright.inference.predictor import Predictor
from maskwright.workflows.diagnose_parts.donors import sample_of
from maskwright.workflows.diagnose_parts.explained_maps import EFFORTS, RISE, seconds_each, tested_maps
from maskwright.workflows.diagnose_parts.explained_region import chosen_region

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from maskwright.core.answers import Cell
    from maskwright.core.records import Record
    from maskwright.diagnosis.occlusion import Patch
    from maskwright.diagnosis.region import Region
    from maskwright.workflows.diagnose_parts.explained_maps import Shown
    from maskwright.workflows.diagnose_parts.study import Study

QUESTION = "Why is this region what the model says it is?"
QUESTION_FIELD = "How far does the model look?"
PATCHES_SHOWN = 4
FIELD_IMAGES = 6
METHOD = (
    "Parts of the image are replaced by its median colour, and the model is asked again (occlusion, RISE); "
    "gradients show how much each feature of the network contributes (Seg-Grad-CAM, HiResCAM). A map is shown only if "
    f"it correlates by less than {cam.SIMILAR} with the map of the same network with scrambled weights, and if "
    f"removing what it marks loses more than each of {occlusion.RANDOM} removals at random places."
)


def explanation(study: Study, deadline: float) -> Iterator[Answer]:
    """Answer what one region of one image depends on, and how far the network looks."""
    predictor = _plain(study.predictor)
    region, record, at = chosen_region(study, predictor)
    if not region.mask.any():
        yield Answer("explanation", QUESTION, f"Nothing is predicted near {at[0]},{at[1]} of {record.id}.", "open")
    else:
        until = deadline - 0.1 * max(0.0, deadline - time.monotonic())
        shown, patches = tested_maps(study, region, until)
        if patches:
            yield _explained(study, region, record, at, shown, patches)
        else:
            least = min(EFFORTS) * seconds_each(region)
            words = (
                f"There was no time for it: it takes {least:.0f} s at least. Give it more time, or ask for it alone."
            )
            cure = Cure("Asks for it alone:", "diagnose", _data(study), {"question": "explanation"})
            yield Answer("explanation", QUESTION, words, "open", cures=(cure,))
    yield _field(study, predictor)


def _plain(predictor: Predictor) -> Predictor:
    """Return the network alone: no postprocessor, and no mean over views, which take twice the time or more."""
    card = predictor.card
    return Predictor(predictor.engine, card.model_copy(update={"predict": card.predict.alone()}))


def _explained(
    study: Study, region: Region, record: Record, at: tuple[int, int], shown: list[Shown], patches: list[Patch]
) -> Answer:
    name = _class_name(region)
    worst = max(patches, key=lambda patch: patch.lost)
    fillings = _fillings(study, region, record)
    again = [occlusion.without(region, (worst.rows, worst.columns), filling) for filling in fillings]
    changed = [patch.changed for patch in again]
    row, column = (part.start + first for part, first in zip((worst.rows, worst.columns), region.origin, strict=True))
    outside = _outside(region, patches)
    passed = [entry for entry in shown if entry.trusted]
    words = (
        f"In {record.id} the region at {at[0]},{at[1]} is taken for {name}{_rather(region)}. "
        f"It depends most on the patch of {_size(worst)} px at {column},{row}: without it {_range(changed)} of the "
        f"region gets another class. {percent(outside)} of what matters lies outside of the region. "
    )
    if passed:
        words += f"Shown are the maps that passed their tests: {listing([entry.name for entry in passed])}."
    else:
        words += "No map passed its tests, so none is shown: it would mislead."
    held = [entry for entry in shown if not entry.trusted]
    if passed and held:
        words += f" Not shown, because they would mislead: {listing([entry.name for entry in held])}."
    if all(entry.name != RISE for entry in shown):
        words += f" There was no time for {RISE}, which needs the most predictions."
    lost = Figure(
        "share of the region that changes without that patch", float(np.mean(changed)), min(changed), max(changed)
    )
    return Answer(
        "explanation",
        QUESTION,
        words,
        "note" if passed else "warning",
        figures=(lost, Figure("share of what matters that lies outside of the region", outside)),
        grids=(_tests(shown), _counterfactuals(region, patches)),
        drawings=tuple(
            Drawing(f"{entry.name}: {name} at {at[0]},{at[1]}", entry.drawn(region, worst)) for entry in passed
        ),
        cures=_cures(study),
        method=METHOD,
    )


def _data(study: Study) -> tuple[str, str]:
    return str(study.run), str(study.dataset.root)


def _class_name(region: Region) -> str:
    groups = {group.name for group in region.predictor.card.channels}
    return "edge" if groups == {"edges"} else region.predictor.classes.names[region.index]


def _rather(region: Region) -> str:
    return "" if region.rival is None else f" rather than {region.predictor.classes.names[region.rival]}"


def _size(patch: Patch) -> str:
    return f"{patch.columns.stop - patch.columns.start} x {patch.rows.stop - patch.rows.start}"


def _range(shares: list[float]) -> str:
    low, high = percent(min(shares), 0), percent(max(shares), 0)
    return low if low == high else f"{low} to {high}"


def _fillings(study: Study, region: Region, record: Record) -> list[NDArray[np.float32]]:
    """Return what a patch is replaced by: the median colour, coarse colour, and the content of another image."""
    found = [plain(region.image), low_pass(region.image)]
    other = next((look.record for look in study.looks if look.record.id != record.id), None)
    sample = None if other is None else sample_of(study, other)
    if sample is not None and sample.image.dtype == region.image.dtype:
        rows, columns = (np.arange(side) % length for side, length in zip(region.size, sample.truth.shape, strict=True))
        content = np.asarray(sample.image, np.float32)[rows[:, None], columns[None]]
        found.append(np.nan_to_num(content.reshape(region.image.shape)))
    return found


def _outside(region: Region, patches: list[Patch]) -> float:
    """Return the share of all losses by patches that those with less than half of their pixels in the region cause."""
    losses = np.array([max(0.0, patch.lost) for patch in patches])
    inside = np.array([region.mask[patch.rows, patch.columns].mean() for patch in patches])
    return float((losses * (1 - inside)).sum() / losses.sum()) if losses.sum() > 0 else 0.0


def _tests(shown: list[Shown]) -> Grid:
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (
            entry.name,
            "-" if entry.alike is None else f"{entry.alike:.2f}",
            Figure("", entry.test.lost, unit="points"),
            Figure("", entry.test.random, unit="points"),
            Figure("", entry.test.excess, entry.test.low, entry.test.high, "points"),
            "shown" if entry.trusted else "would mislead",
        )
        for entry in shown
    )
    if all(entry.name != RISE for entry in shown):
        rows += ((RISE, "-", "-", "-", "-", "no time"),)
    header = ("map", "like that of scrambled weights", "lost without what it marks", "at random places", "more", "")
    return Grid("Does a map show what the model depends on?", header, rows)


def _counterfactuals(region: Region, patches: list[Patch]) -> Grid:
    """List the patches whose removal costs most, and what the others cost."""
    ordered = sorted(patches, key=lambda patch: -patch.lost)
    rest = float(np.median([patch.changed for patch in ordered[PATCHES_SHOWN:]] or [0.0]))
    rows = [
        (
            f"{patch.columns.start + region.origin[1]},{patch.rows.start + region.origin[0]}",
            percent(float(region.mask[patch.rows, patch.columns].mean()), 0),
            Figure("", patch.lost, unit="points"),
            Figure("", patch.changed),
        )
        for patch in ordered[:PATCHES_SHOWN]
    ]
    return Grid(
        f"Removing a patch of about {_size(ordered[0])} px; half of the other patches change {percent(rest)} or less",
        ("left, top", "of it in the region", "probability lost", "of the region changed"),
        tuple(rows),
    )


def _cures(study: Study) -> tuple[Cure, ...]:
    if study.request.at is not None:
        return ()
    options = {"question": "explanation", "at": "120,80", "image": study.looks[0].record.id}
    return (Cure("Explains any other region:", "diagnose", _data(study), options),)


def _field(study: Study, predictor: Predictor) -> Answer:
    """Measure the effective receptive field on some of the images."""
    network = cam.open_network(predictor)
    if network is None:
        kind = "emits objects" if emits_objects(predictor.card.channels) else "runs in another engine than PyTorch"
        words = f"The network {kind}, so its gradients cannot be looked at: diagnose the trained model itself."
        return Answer("receptive-field", QUESTION_FIELD, words, "open")
    samples = [sample_of(study, look.record) for look in study.looks[:FIELD_IMAGES]]
    images = [_middle_part(predictor, sample.image) for sample in samples if sample is not None]
    fields = receptive_field(predictor, network, images)
    half, most = ([getattr(field, name) for field in fields] for name in ("half", "most"))
    side = min(field.side for field in fields)
    words = (
        f"Half of what decides about a pixel lies within {np.mean(half):.0f} px of it, and 95 % within "
        f"{np.mean(most):.0f} px; the network sees {side} px at once. Larger things can only be "
        "recognised by their parts."
    )
    figures = (
        Figure("radius of half of the influence", float(np.mean(half)), min(half), max(half), "px"),
        Figure("radius of 95 % of it", float(np.mean(most)), min(most), max(most), "px"),
    )
    return Answer(
        "receptive-field",
        QUESTION_FIELD,
        words,
        figures=figures,
        method=f"Gradient of one pixel's likeliest class with respect to all pixels (Luo et al. 2016), mean and range "
        f"over {len(fields)} images.",
    )


def _middle_part(predictor: Predictor, image: NDArray[Any]) -> NDArray[Any]:
    rows, columns = window(predictor, (image.shape[0], image.shape[1]), image.shape[1] // 2, image.shape[0] // 2)
    return image[rows, columns]
