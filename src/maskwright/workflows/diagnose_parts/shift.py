"""Whether images look like those of the training: the held-out ones, and those of a folder that the user names."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from maskwright.core.answers import Answer, Cure, Drawing, Grid
from maskwright.core.errors import MaskwrightError
from maskwright.core.paths import model_file
from maskwright.core.records import Record
from maskwright.core.seeds import generator
from maskwright.core.text import chance, listing, percent, plural
from maskwright.data.sequences import read_sequences, with_sequences
from maskwright.diagnosis.shift import FEWEST, FILE, UNLIKE, Reference, folder_chance, image_features
from maskwright.inference.origin import digest
from maskwright.ops.draw import to_rgb8
from maskwright.workflows.diagnose_parts.figures import ratio
from maskwright.workflows.diagnose_parts.update import update
from maskwright.workflows.predict_parts.sources import find_images
from maskwright.workflows.runs import run_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from maskwright.core.answers import Figure
    from maskwright.workflows.diagnose_parts.study import Study

MOST = 400
"""Images of one kind that are looked at."""
SURE = 0.01
"""Chance below which a folder is called different, if twice as many of its images as by chance are."""
DRAWN = 3
LOOKING = 0.7
"""Share of the time for comparing images; the rest is for comparing two versions of the model."""
QUESTION = "Do new images look like those of the training?"


@dataclass(frozen=True, eq=False)
class _Images:
    """Images that could be read in time: their records and features (n, F)."""

    records: list[Record]
    features: NDArray[np.float64]

    @property
    def groups(self) -> list[str | None]:
        """Group of each image."""
        return [record.group for record in self.records]


@dataclass(frozen=True, eq=False)
class _Compared:
    """Images compared with the training.

    Attributes:
        name: of them, in a sentence.
        images: that were compared.
        chances: p-value of each.
        unlike: share of them that look unlike the training images.
        chance: of such images on the whole.
    """

    name: str
    images: _Images
    chances: NDArray[np.float64]
    unlike: Figure
    chance: float

    @property
    def different(self) -> bool:
        """Whether they are not of the same kind as the training images."""
        return self.chance <= SURE and (self.unlike.value or 0) > 2 * UNLIKE


def shift(study: Study, deadline: float) -> Iterator[Answer]:
    """Compare images with the training images by what the backbone sees in them, and the model with the last one."""
    started = time.monotonic()
    yield from _shift(study, started + LOOKING * (deadline - started))
    yield update(study, deadline)


def _shift(study: Study, deadline: float) -> Iterator[Answer]:
    started = time.monotonic()
    try:
        training = _seen(study, "training images", study.records("train"), started + 0.5 * (deadline - started))
    except MaskwrightError as error:
        yield Answer("shift", QUESTION, f"This was not measured: {error}.", "open")
        return
    if len(training.records) < FEWEST:
        words = (
            f"Of the training images {len(training.records)} could be read, and the comparison needs {FEWEST}: give "
            "the data of the training, and more time with a longer budget."
        )
        yield Answer("shift", QUESTION, words, "open")
        return
    reference = Reference.of(training.features, training.groups, study.request.seed)
    _keep(study, reference)
    until = started + 0.7 * (deadline - started)
    compared = [_compare(study, "held-out images", _seen(study, "held-out images", study.records(), until), reference)]
    if study.request.against is not None:
        name = f"images of {study.request.against}"
        new = _seen(study, name, _unlabelled(study, study.request.against), deadline)
        compared.insert(0, _compare(study, name, new, reference))
    yield _answer(study, training, compared)


def _seen(study: Study, name: str, records: Sequence[Record], deadline: float) -> _Images:
    """Let the backbone see images, an even sample of them, until the time is up."""
    order = generator(study.request.seed, "shift").permutation(len(records))[:MOST]
    report = study.progress("compare")
    found, rows = [], []
    for done, place in enumerate(order, start=1):
        try:
            rows.append(image_features(study.predictor, study.predictor.read(records[place].image)))
        except MaskwrightError as error:
            if not hasattr(study.predictor.engine, "features"):
                raise
            study.notes.append(f"an image was left out: {error}")
            continue
        found.append(records[place])
        report(done, len(order))
        if done >= FEWEST and time.monotonic() > deadline:
            study.notes.append(
                f"to say whether new images look like those of the training, {done} of the {len(records)} {name} were "
                "looked at, drawn at random, to save time"
            )
            break
    return _Images(found, np.array(rows))


def _unlabelled(study: Study, folder: Path) -> list[Record]:
    """Return the images of a folder, frames of a film as one group."""
    found = find_images([folder], study.predictor.card.data.channels)
    study.notes.extend(f"left out: {reason}" for _, reason in found.failures)
    records = [Record(str(picture.relative), picture.image, None) for picture in found.pictures]
    if not records:
        raise MaskwrightError(f"{folder} holds no image to compare: give a folder with images", "against")
    return with_sequences(records, read_sequences(records))


def _compare(study: Study, name: str, images: _Images, reference: Reference) -> _Compared:
    distances = reference.distances(images.features)
    chances = reference.chances(distances)
    rows = np.stack([chances <= UNLIKE, np.ones(len(chances))], 1).astype(np.float64)
    unlike = ratio(f"{name} unlike the training", rows, images.groups)
    return _Compared(
        name, images, chances, unlike, folder_chance(reference, distances, images.groups, study.request.seed)
    )


def _keep(study: Study, reference: Reference) -> None:
    """Write what new images are compared with beside the model, where the service finds it."""
    if not (study.home / run_folder.PLAN).exists():
        return
    try:
        reference.save(study.home / FILE, digest(model_file(study.run)))
    except MaskwrightError as error:
        study.notes.append(f"what the service compares new images with was not kept: {error}")


def _answer(study: Study, training: _Images, compared: list[_Compared]) -> Answer:
    first = compared[0]
    grid = Grid(
        "Images that look unlike the training images (of the same kind, one in twenty does)",
        ("images", "number", "unlike the training", "chance"),
        tuple((one.name, str(len(one.chances)), one.unlike, chance(one.chance)) for one in compared),
    )
    groups = len({record.group or record.id for record in training.records})
    words = f"{'No' if first.different else 'Yes'}: {_told(first)}"
    if groups < len(training.records) and groups < FEWEST:
        words += f" The training has {plural(groups, 'group')} only, so little is known of how others would look."
    return Answer(
        "shift",
        QUESTION,
        words,
        "warning" if first.different else "good",
        0.05 if first.different else 0.0,
        tuple(one.unlike for one in compared),
        (grid,),
        drawings=_drawings(study, first),
        cures=_cures(study, first),
        method="Compared are means and standard deviations of the channels of two levels of the backbone, by their "
        "distance from the nearest training images. The distances of training images from those of other groups say "
        "what is usual. The test of the whole permutes groups.",
    )


def _told(one: _Compared) -> str:
    return (
        f"{one.unlike} of {len(one.chances)} {one.name} look unlike the training images; of images of "
        f"the same kind, about {percent(UNLIKE, 0)} would."
    )


def _drawings(study: Study, one: _Compared) -> tuple[Drawing, ...]:
    """Show the images that are least like the training."""
    places = [place for place in np.argsort(one.chances, kind="stable")[:DRAWN] if one.chances[place] <= UNLIKE]
    return tuple(
        Drawing(f"{one.images.records[place].id}: unlike the training images", _picture(study, one, place))
        for place in places
    )


def _picture(study: Study, one: _Compared, place: Any) -> NDArray[np.uint8]:
    return to_rgb8(study.predictor.read(one.images.records[place].image))


def _cures(study: Study, one: _Compared) -> tuple[Cure, ...]:
    run, data = str(study.run), str(study.dataset.root)
    if not one.different:
        if study.request.against is not None:
            return ()
        why = "This says whether the images of another folder, without masks, look like the training images."
        return (Cure(why, "diagnose", (run, data), {"against": "FOLDER", "question": ("shift",)}),)
    names = [one.images.records[place].id for place in np.argsort(one.chances, kind="stable")[:DRAWN]]
    why = (
        f"Label some of these images ({listing(names)} first), put them beside the old data, and go on from the model."
    )
    return (Cure(why, "train", ("NEW_DATA",), {"from_run": run}),)
