"""Which predicted images and frames are not to be trusted, by their risk, and a table of them. Predicts nothing."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from maskwright.core.files import write_text
from maskwright.core.reject import TABLE_HEAD
from maskwright.workflows.predict_parts.results import Predicted

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from maskwright.core.reject import Reject
    from maskwright.workflows.predict_parts.results import PredictedVideo

NAME = "risk.csv"


def frames_of(video: PredictedVideo) -> tuple[Predicted, ...]:
    """Return the frames of a video as images, each with its number as the page."""
    return tuple(Predicted(video.source, {}, {}, number, risk) for number, risk in video.risks)


def rejected(rule: Reject, images: Sequence[Predicted]) -> tuple[Predicted, ...]:
    """Return the images that a rule rejects, the riskiest first; one without a risk never is."""
    ranked = riskiest(images)
    if rule.share:
        return tuple(ranked[: round(rule.limit * len(images))])
    return tuple(image for image in ranked if (image.risk or 0) > rule.limit)


def riskiest(images: Sequence[Predicted]) -> list[Predicted]:
    """Return the images that have a risk, the riskiest first."""
    return sorted((image for image in images if image.risk is not None), key=lambda image: -(image.risk or 0))


def write_table(out: Path, images: Sequence[Predicted], marked: Sequence[Predicted]) -> Path:
    """Write the risk of each image, the riskiest first, and whether it is rejected.

    Raises:
        MaskwrightError: the file cannot be written.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(TABLE_HEAD.split(","))
    ranked, chosen = riskiest(images), {id(image) for image in marked}
    for image in (*ranked, *(image for image in images if image.risk is None)):
        risk = "" if image.risk is None else f"{image.risk:.4f}"
        table.writerow([image.source, "" if image.page is None else image.page, risk, int(id(image) in chosen)])
    write_text(out / NAME, text.getvalue())
    return out / NAME
