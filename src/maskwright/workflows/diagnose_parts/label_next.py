"""Which of the images without annotation to label next."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from maskwright.core.answers import Answer, Cure, Drawing, Grid
from maskwright.core.errors import MaskwrightError
from maskwright.core.records import ImageRef, MaskEdges, MaskFile, MaskLayers, Record
from maskwright.core.seeds import generator
from maskwright.core.text import count, listing, percent, plural
from maskwright.data.readers import read_image
from maskwright.diagnosis.image_facts import FACTS, image_facts
from maskwright.diagnosis.label_order import order
from maskwright.diagnosis.risk import risk_of
from maskwright.ops.draw import to_rgb8
from maskwright.workflows.evaluate_parts import scoring

if TYPE_CHECKING:
    from pathlib import Path

    from maskwright.core.records import Dataset
    from maskwright.workflows.diagnose_parts.study import Study

SHOWN, DRAWN = 20, 4
FEWEST = 4
"""Images that are looked at, however short the time."""
QUESTION = "Which images should be labelled next?"


def label_next(study: Study, deadline: float) -> Answer:
    """Rank the images without annotation by the model's own doubt and by how much they differ."""
    unlabelled = without_annotation(study.dataset)
    if not unlabelled:
        why = "Every image of the data has an annotation: add images without one, and ask again."
        cure = Cure("Draft masks for new images, with how sure the model is of each.", "predict",
                    (str(study.run), "FOLDER"))  # fmt: skip
        return Answer("label-next", QUESTION, why, "open", cures=(cure,))
    places = generator(study.request.seed, "label next").permutation(len(unlabelled))
    seen: list[tuple[Record, float | None]] = []
    facts: list[list[float]] = []
    report = study.progress("images without labels")
    for place in places:
        if len(seen) >= FEWEST and time.monotonic() > deadline:
            break
        try:
            risk, described = _looked(study, unlabelled[place])
        except MaskwrightError as error:
            study.notes.append(scoring.left_out(error))
            continue
        seen.append((unlabelled[place], risk))
        facts.append(described)
        report(len(seen), len(unlabelled))
    if not seen:
        return Answer("label-next", QUESTION, "No image without annotation can be read.", "open")
    usual = float(np.mean([risk for _, risk in seen if risk is not None] or [0.5]))
    # Where a network of objects found none, no score says how sure it is: such an image is as risky as the others.
    risks = np.array([usual if risk is None else risk for _, risk in seen])
    chosen = order(risks, np.array(facts, np.float64), SHOWN)
    first = [seen[place][0].id for place in chosen]
    rows = tuple((count(rank), seen[place][0].id, _risk(seen[place][1])) for rank, place in enumerate(chosen, 1))
    return Answer(
        "label-next",
        QUESTION,
        f"Label these first: {listing(first, 5)}.",
        "note",
        grids=(Grid("The images to label next, in this order", ("", "image", "expected loss of IoU"), rows),),
        drawings=tuple(Drawing(seen[p][0].id, to_rgb8(read_image(seen[p][0].image))) for p in chosen[:DRAWN]),
        cures=(
            Cure(
                "Draft masks for them, to be corrected by hand.", "predict", (str(study.run), str(study.dataset.root))
            ),
        ),
        method=f"{plural(len(seen), 'image')} of {count(len(unlabelled))} without annotation: the IoU that the model's "
        "probabilities say it misses, times the distance to the images before it (brightness, contrast, sharpness, "
        "colour, size).",
    )


def _risk(risk: float | None) -> str:
    return "nothing was found in it" if risk is None else percent(risk)


def without_annotation(dataset: Dataset) -> list[Record]:
    """Return the images that have none: records, and files beside the images of other records.

    Files in a folder that holds annotations too are left out: they may be masks without an image.
    """
    named = [record for record in dataset.records if record.annotation is None]
    images = {record.image.path for record in dataset.records}
    kinds: dict[Path, set[str]] = {}
    for path in images:
        kinds.setdefault(path.parent, set()).add(path.suffix)
    for path in {path for record in dataset.records for path in _annotation_files(record)}:
        kinds.pop(path.parent, None)
    beside = [
        path
        for folder, suffixes in sorted(kinds.items())
        for path in sorted(folder.iterdir())
        if path.suffix in suffixes and path not in images
    ]
    found = [
        Record(path.relative_to(dataset.root).as_posix(), ImageRef(path, reading=dataset.reading), None)
        for path in beside
        if path.is_relative_to(dataset.root)
    ]
    return [*named, *found]


def _annotation_files(record: Record) -> list[Path]:
    """Return the files of masks of a record; tables and text are no images."""
    annotation = record.annotation.masks if isinstance(record.annotation, MaskEdges) else record.annotation
    found = [record.objects.path] if record.objects is not None else []
    if isinstance(annotation, MaskFile):
        found.append(annotation.path)
    elif isinstance(annotation, MaskLayers):
        found += [layer.mask.path for layer in annotation.layers]
    return found


def _looked(study: Study, record: Record) -> tuple[float | None, list[float]]:
    """Return risk and facts of an image.

    Raises:
        MaskwrightError: it cannot be read, or does not fit the model.
    """
    image = read_image(record.image)
    study.predictor.check(image)
    blocks = list(study.predictor.blocks(image))
    risk = risk_of(study.predictor, blocks, (image.shape[0], image.shape[1]))
    found = image_facts(image)
    return risk, [found.get(name, 0.0) for name in FACTS]
