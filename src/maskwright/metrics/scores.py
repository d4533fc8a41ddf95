"""What an evaluation found, as plain data: values, intervals and what each of them means. Computes nothing."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

DESCRIPTIONS: dict[str, str] = {
    "iou": "Intersection over union by class, from the pixels of all images together, averaged over classes.",
    "dice": "Dice coefficient (F1) by class, from the pixels of all images together, averaged over classes.",
    "precision": "Share of the pixels predicted as a class that are of it, all images together, averaged over classes.",
    "recall": "Share of the pixels of a class that are predicted as it, all images together, averaged over classes.",
    "accuracy": "Share of all labelled pixels that are rightly put in or out of a class, averaged over classes.",
    "boundary_iou": "IoU of the bands along the edges (2 % of the image diagonal wide), all images together, averaged "
    "over classes.",
    "hd95": "95th percentile of the distances between true and predicted edge, in pixels of the image, averaged "
    "over the images that show the class in truth or prediction, then over classes; an object missed or made up costs "
    "the image diagonal.",
    "nsd": "Share of the true and the predicted edge that lies within the tolerance of the other, averaged over the "
    "images that show the class in truth or prediction, then over classes; an object missed or made up scores 0.",
    "iou_per_image": "IoU averaged over the classes that one image shows in truth or prediction, then over images.",
    "dice_per_image": "Dice averaged over the classes that one image shows in truth or prediction, then over images.",
    "pixel_accuracy": "Share of all labelled pixels that carry the right class, all images together.",
}
"""One sentence a measure: the keys of `Scores.mean`, and `pixel_accuracy`."""


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval (`metrics.intervals`) over images, or over groups where there are groups.

    All three are None where the value is undefined: the class is in no truth and no prediction; for a recall, in no
    truth. The bounds alone are None where fewer than four images, or groups, know the value.
    """

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class ClassScores:
    """One class, over the whole data set.

    Attributes:
        name: of the class.
        pixels: that the truth gives to it.
        images: whose truth shows it.
        iou, dice, precision, recall, accuracy, boundary_iou, hd95, nsd: see `DESCRIPTIONS`, before the mean over
            classes. `accuracy` is (TP + TN) / all.
    """

    name: str
    pixels: int
    images: int
    iou: Estimate
    dice: Estimate
    precision: Estimate
    recall: Estimate
    accuracy: Estimate
    boundary_iou: Estimate
    hd95: Estimate
    nsd: Estimate


@dataclass(frozen=True)
class ImageScore:
    """One image: means over the classes that its truth or prediction shows; None where no pixel is labelled."""

    id: str
    group: str | None
    iou: float | None
    dice: float | None
    accuracy: float | None


@dataclass(frozen=True)
class Bin:
    """One bar of a reliability diagram.

    Attributes:
        confidence: mean probability of the predicted class, of the pixels in this bin.
        accuracy: share of them that are right.
        share: of all pixels that fall into this bin.
    """

    confidence: float
    accuracy: float
    share: float


@dataclass(frozen=True)
class Calibration:
    """Whether a probability of 90 % is right nine times in ten.

    Attributes:
        ece: expected calibration error, 15 bins (Guo et al. 2017).
        ece_scaled: the same after dividing the logits by `temperature`; None where the temperature is 1.
        temperature: fitted on other data than these.
        bins, bins_scaled: the reliability diagrams of the two; empty bins have share 0.
    """

    ece: float
    ece_scaled: float | None
    temperature: float
    bins: tuple[Bin, ...]
    bins_scaled: tuple[Bin, ...]


@dataclass(frozen=True)
class Scores:
    """Everything an evaluation found.

    Attributes:
        images: judged.
        groups: that they fall into; 0 where there are none.
        classes: one entry a class, by index.
        mean: measure -> mean over classes (or images); the keys stand in `DESCRIPTIONS`.
        pixel_accuracy: share of all labelled pixels that are right.
        calibration: None where only label maps were judged, without probabilities.
        confusion: pixels, row truth, column prediction.
        per_image: one entry an image, in the order judged.
        scope: what the scores say nothing about, in a sentence; None where they speak for new images.
    """

    images: int
    groups: int
    classes: tuple[ClassScores, ...]
    mean: dict[str, Estimate]
    pixel_accuracy: Estimate
    calibration: Calibration | None
    confusion: tuple[tuple[int, ...], ...]
    per_image: tuple[ImageScore, ...]
    scope: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain types only, fit for `json.dumps` with `allow_nan=False`."""
        plain = asdict(self)
        plain["confusion"] = [list(row) for row in self.confusion]
        return plain

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> Scores:
        """Read back what `to_json` gave, also after a trip through JSON text."""
        calibration = plain["calibration"]
        return cls(
            images=plain["images"],
            groups=plain["groups"],
            classes=tuple(_class_scores(entry) for entry in plain["classes"]),
            mean={key: Estimate(**value) for key, value in plain["mean"].items()},
            pixel_accuracy=Estimate(**plain["pixel_accuracy"]),
            calibration=None if calibration is None else _calibration(calibration),
            confusion=tuple(tuple(row) for row in plain["confusion"]),
            per_image=tuple(ImageScore(**entry) for entry in plain["per_image"]),
            scope=plain["scope"],
        )


def _class_scores(plain: dict[str, Any]) -> ClassScores:
    values: dict[str, Any] = {
        key: Estimate(**value) if isinstance(value, dict) else value for key, value in plain.items()
    }
    return ClassScores(**values)


def _calibration(plain: dict[str, Any]) -> Calibration:
    bins = {key: tuple(Bin(**entry) for entry in plain[key]) for key in ("bins", "bins_scaled")}
    return Calibration(plain["ece"], plain["ece_scaled"], plain["temperature"], **bins)
