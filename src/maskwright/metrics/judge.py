"""The judge: takes one image at a time, keeps only counts, and computes the scores from them at the end.

Knows label maps and probabilities, and no files or models. `summary` turns its counts into `Scores`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from maskwright.core.classes import IGNORE
from maskwright.core.errors import MaskwrightError
from maskwright.metrics import calibration, summary
from maskwright.metrics.boundary import boundary_counts
from maskwright.metrics.confusion import confusion_matrix, per_class
from maskwright.metrics.scores import Calibration
from maskwright.metrics.surface import surface_scores

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from maskwright.metrics.scores import Scores


class Judge:
    """Scores predictions against the truth over a whole data set.

    The judge keeps a few numbers per class for each image. Calibration uses every fourth pixel in each direction:
    neighbouring pixels are nearly alike, and the time is better spent on more images.
    """

    def __init__(
        self,
        names: Sequence[str],
        temperature: float = 1.0,
        nsd_tolerance: float = 2.0,
        calibration_stride: int = 4,
        surfaces: bool = True,
    ) -> None:
        """Prepare to judge.

        Args:
            names: of the classes, by index.
            temperature: fitted elsewhere, to compare the calibration with and without it; it changes no label. `update`
                takes the probabilities BEFORE it is applied.
            nsd_tolerance: tolerance of the normalised surface distance, in pixels.
            calibration_stride: distance in pixels between the pixels that calibration uses, in each direction.
            surfaces: whether to measure HD95 and NSD, which take the most time; if not, they are undefined.
        """
        self.names = tuple(names)
        self.temperature = temperature
        self.calibration_stride = calibration_stride
        self._tolerance = nsd_tolerance
        self._surfaces = surfaces
        self._matrix = np.zeros((len(self.names), len(self.names)), np.int64)
        self._images: list[summary.ImageCounts] = []
        self._reliability = np.zeros((2, calibration.BINS, 3))

    def update(
        self,
        id: str,  # noqa: A002 - what records call it
        prediction: NDArray[np.float32] | NDArray[np.uint8],
        truth: NDArray[np.uint8],
        group: str | None = None,
        thin: NDArray[np.float32] | None = None,
    ) -> None:
        """Judge one image.

        Args:
            id: of the image.
            prediction: probabilities (K, H, W) float32, or a label map (H, W), which has no information on calibration.
            truth: class indices or `IGNORE` (H, W).
            group: the group of the image, if any: the intervals are then over groups.
            thin: with a label map: the probabilities (K, h, w) at every `calibration_stride`-th row and column from the
                first. Calibration needs no others, so those of a large image need not be in memory at once.

        Raises:
            MaskwrightError: the shapes differ, or a label is beyond the classes.
        """
        labels = self._labels(id, prediction, truth)
        classes = len(self.names)
        try:
            matrix = confusion_matrix(labels, truth, classes)
        except MaskwrightError as error:
            raise MaskwrightError(f"{id}: {error}") from None
        step = slice(None, None, self.calibration_stride)
        if prediction.ndim == 3:
            thin = prediction.astype(np.float32, copy=False)[:, step, step]
        if thin is not None:
            self._calibrate(thin, labels[step, step], truth[step, step])
        ignored = truth == IGNORE
        seen = np.where(ignored, truth, labels) if ignored.any() else labels
        nothing = np.full(classes, np.nan)
        hd95, nsd = surface_scores(seen, truth, classes, self._tolerance) if self._surfaces else (nothing, nothing)
        self._matrix += matrix
        self._images.append(
            summary.ImageCounts(id, group, per_class(matrix), boundary_counts(seen, truth, classes), hd95, nsd)
        )

    def compute(self) -> Scores:
        """Return the scores of all images judged so far.

        Raises:
            MaskwrightError: nothing was judged.
        """
        if not self._images:
            raise MaskwrightError("there is nothing to score: no image with a truth was judged")
        return summary.summarize(self.names, self._images, self._matrix, self._calibration())

    def _labels(self, name: str, prediction: NDArray[Any], truth: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the label map (H, W) of a prediction, checked against the truth."""
        expected = truth.shape if prediction.ndim == 2 else (len(self.names), *truth.shape)
        if truth.ndim != 2 or prediction.shape != expected:
            raise MaskwrightError(
                f"{name}: the prediction has shape {prediction.shape} and the truth {truth.shape}, but the judge needs "
                f"labels (H, W) or probabilities ({len(self.names)}, H, W), and a truth (H, W)"
            )
        if truth.dtype != np.uint8 or (prediction.ndim == 2 and prediction.dtype != np.uint8):
            raise MaskwrightError(
                f"{name}: the prediction is {prediction.dtype} and the truth {truth.dtype}, but label maps are uint8"
            )
        return most_likely(prediction) if prediction.ndim == 3 else prediction

    def _calibrate(self, probabilities: NDArray[Any], labels: NDArray[np.uint8], truth: NDArray[np.uint8]) -> None:
        assert probabilities.shape == (len(self.names), *truth.shape)
        keep = truth != IGNORE
        sample = probabilities[:, keep].astype(np.float32, copy=False)
        right = labels[keep] == truth[keep]
        self._reliability[0] += calibration.reliability_counts(sample.max(0), right)
        if self.temperature != 1:
            scaled = calibration.scaled_confidence(sample, self.temperature)
            self._reliability[1] += calibration.reliability_counts(scaled, right)

    def _calibration(self) -> Calibration | None:
        plain, scaled = self._reliability
        if not plain[:, 0].any():
            return None
        tried = self.temperature != 1
        return Calibration(
            ece=calibration.calibration_error(plain),
            ece_scaled=calibration.calibration_error(scaled) if tried else None,
            temperature=self.temperature,
            bins=calibration.reliability_bins(plain),
            bins_scaled=calibration.reliability_bins(scaled) if tried else (),
        )


def most_likely(probabilities: NDArray[Any]) -> NDArray[np.uint8]:
    """Return the index of the largest probability (K, H, W) at each pixel (H, W), the first of equals.

    It goes class by class, which is several times as fast as `argmax` over the first axis.
    """
    best = probabilities[0].copy()
    labels = np.zeros(best.shape, np.uint8)
    for index in range(1, len(probabilities)):
        np.copyto(labels, np.uint8(index), where=probabilities[index] > best)
        np.maximum(best, probabilities[index], out=best)
    return labels
