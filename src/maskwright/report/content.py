"""What a report is made of: plain results of the other rooms, gathered. Knows nothing of HTML."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from maskwright.core.classes import Classes
    from maskwright.core.fingerprint import Fingerprint
    from maskwright.core.plan import Plan
    from maskwright.metrics.scores import Scores

Gain = dict[str, dict[str, float | None]]
"""What the dense CRF changes: key of `Scores.mean` -> `without`, `with`, `gain`."""


@dataclass(frozen=True)
class Example:
    """One held-out image with what was true and what was said.

    Attributes:
        id: of the record.
        image: RGB, uint8 (H, W, 3).
        truth: label map, uint8 (H, W), `IGNORE` where nothing is known.
        prediction: label map, uint8 (H, W).
        iou: the image's mean IoU, 0..1, or None where it is undefined.
    """

    id: str
    image: NDArray[np.uint8]
    truth: NDArray[np.uint8]
    prediction: NDArray[np.uint8]
    iou: float | None


@dataclass(frozen=True, kw_only=True)
class ReportData:
    """Everything one page shows; whatever is empty or None is left out of it.

    Attributes:
        title: of the page, e.g. the data set's or the run's name.
        scores: on the images of `split`.
        classes: names and colours.
        split: which images were scored: `test`, `val`, `train`, `all`, or a place in words.
        plan: of the training.
        fingerprint: of the data.
        history: rows of `history.csv`: step, seconds, loss, lr, val_iou where a validation took place, and
            what a kind of training adds (`fooling_loss`, `adversary_loss`).
        examples: the worst images in the first half, the best in the second.
        environment: versions, revision and hashes, by name.
        gain: what the dense CRF changes, where the scores are of the model with one.
        notes: sentences on how the scores came about that a reader should know: files left out, a split guessed.
    """

    title: str
    scores: Scores
    classes: Classes
    split: str = "test"
    plan: Plan | None = None
    fingerprint: Fingerprint | None = None
    history: Sequence[Mapping[str, float | None]] = ()
    examples: Sequence[Example] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    gain: Gain = field(default_factory=dict)
    notes: Sequence[str] = ()
