"""Scores label maps from blocks of probabilities, without ever holding all probabilities of an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from maskwright.core.classes import IGNORE
from maskwright.core.errors import MaskwrightError
from maskwright.metrics import Judge
from maskwright.metrics.confusion import confusion_matrix, iou, mean_defined, per_class
from maskwright.tasks.label_map import decide

if TYPE_CHECKING:
    from collections.abc import Iterable

    from maskwright.core.classes import Classes
    from maskwright.core.targets import Target
    from maskwright.metrics.scores import Scores
    from maskwright.tasks.block import Block


class LabelJudge:
    """Scores one image after another; see `tasks.base.Judge`.

    Args:
        classes: of the data set.
        temperature: to compare the calibration with; predictions come without it.
        quick: compute the mean IoU only.

    Raises:
        MaskwrightError: there is one class only, and the judge is not quick.
    """

    def __init__(self, classes: Classes, temperature: float = 1.0, *, quick: bool = False) -> None:
        if len(classes) == 1 and not quick:
            raise MaskwrightError(
                f"the only class is {classes.names[0]}, so there is nothing to mistake it for and nothing to score: "
                "label the other pixels as another class, such as background"
            )
        self._classes = classes
        self._total = np.zeros((len(classes), len(classes)), np.int64)
        self._labelled = False
        self._judge = None if quick else Judge(classes.names, temperature)

    def update(self, id: str, blocks: Iterable[Block], target: Target, group: str | None = None) -> None:  # noqa: A002
        """Score one image."""
        truth, count = target.labels, len(self._classes)
        labels = np.empty(truth.shape, np.uint8)
        stride = 1 if self._judge is None else self._judge.calibration_stride
        few = (count, *(-(-side // stride) for side in truth.shape))
        thin = None if self._judge is None else np.empty(few, np.float32)
        for block in blocks:
            labels[block.rows, block.columns] = decide(block.maps[:count])[0]
            if thin is not None:
                top, left = (-(-part.start // stride) for part in (block.rows, block.columns))
                down, across = top * stride - block.rows.start, left * stride - block.columns.start
                part = block.maps[:count, down::stride, across::stride].cpu().numpy()
                thin[:, top : top + part.shape[1], left : left + part.shape[2]] = part
        labels[(labels == IGNORE) & (truth == IGNORE)] = 0  # where the image has no data, no class is judged
        if self._judge is not None:
            self._judge.update(id, labels, truth, group=group, thin=thin)
            return
        self._labelled |= bool((truth < count).any())
        if count > 1:  # a single class may leave pixels without a class, which no confusion matrix holds
            self._total += confusion_matrix(labels, truth, count)

    def score(self) -> float | None:
        """Return the mean IoU; None without a labelled pixel, and for a single class, which is always right."""
        if not self._labelled or len(self._classes) == 1:
            return None
        return float(mean_defined(iou(per_class(self._total))))

    def compute(self) -> Scores:
        """Return all scores.

        Raises:
            MaskwrightError: nothing was scored.
        """
        assert self._judge is not None, "a quick judge has no more than `score`"
        return self._judge.compute()
