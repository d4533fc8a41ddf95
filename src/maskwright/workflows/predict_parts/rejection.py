"""Which predicted images are not to be trusted, by their risk, and the table that says so. Predicts nothing."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from maskwright.core.errors import MaskwrightError
from maskwright.core.files import write_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from maskwright.workflows.predict_parts.results import Predicted

NAME = "risk.csv"


@dataclass(frozen=True)
class Reject:
    """A rule of rejection.

    Attributes:
        limit: an image is rejected if its risk is above it; or, for a share, so many of the riskiest are.
        share: whether it is a share of the images.
    """

    limit: float
    share: bool

    @classmethod
    def parse(cls, given: str | float) -> Reject:
        """Read `0.3`, a risk, or `20%`, a share of the images.

        Raises:
            MaskwrightError: neither.
        """
        text = str(given).strip()
        share = text.endswith("%")
        try:
            limit = float(text.removesuffix("%")) / (100 if share else 1)
        except ValueError:
            limit = np.nan
        if not 0 <= limit <= 1:
            raise MaskwrightError(
                f"`reject` is {given}, and it must be a risk from 0 to 1, such as 0.3, or a share of the images, such "
                "as 20%",
                "reject",
            )
        return cls(limit, share)

    def of(self, images: Sequence[Predicted]) -> tuple[Predicted, ...]:
        """Return the images that are rejected, the riskiest first; one without a risk never is."""
        ranked = riskiest(images)
        if self.share:
            return tuple(ranked[: round(self.limit * len(images))])
        return tuple(image for image in ranked if (image.risk or 0) > self.limit)


def riskiest(images: Sequence[Predicted]) -> list[Predicted]:
    """Return the images that have a risk, the riskiest first."""
    return sorted((image for image in images if image.risk is not None), key=lambda image: -(image.risk or 0))


def write_table(out: Path, images: Sequence[Predicted], rejected: Sequence[Predicted]) -> Path:
    """Write the risk of each image, the riskiest first, and whether it is rejected.

    Raises:
        MaskwrightError: the file cannot be written.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["image", "page", "risk", "rejected"])
    ranked = riskiest(images)
    for image in (*ranked, *(image for image in images if image.risk is None)):
        risk = "" if image.risk is None else f"{image.risk:.4f}"
        table.writerow([image.source, "" if image.page is None else image.page, risk, int(image in rejected)])
    write_text(out / NAME, text.getvalue())
    return out / NAME
