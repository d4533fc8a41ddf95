"""Semantic segmentation: one class a pixel. Label maps in, class probabilities from the network, label maps out.

With K classes, K at least 2, the network emits a softmax over them. A single class is a question of yes or no: one
sigmoid channel says how likely a pixel is of that class, and what is below one half carries no class (`IGNORE`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from maskwright import losses
from maskwright.core.channels import CLASS_GROUP, class_channels
from maskwright.core.classes import IGNORE
from maskwright.core.targets import Target
from maskwright.data.labels import read_label
from maskwright.metrics.label_metrics import LABEL_METRICS
from maskwright.ops import draw
from maskwright.tasks import label_files, label_pictures
from maskwright.tasks.base import Task
from maskwright.tasks.label_fit import fit_labels
from maskwright.tasks.label_judge import LabelJudge
from maskwright.tasks.label_map import LabelMap, decide

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from numpy.typing import NDArray
    from torch import Tensor

    from maskwright.core.channels import Channels
    from maskwright.core.classes import Classes
    from maskwright.core.plan import Plan
    from maskwright.core.read_options import Meaning
    from maskwright.core.records import Dataset, Record
    from maskwright.tasks.base import Adjustments, Decoding, Legend, Painted, Seen
    from maskwright.tasks.block import Block
    from maskwright.tasks.writer import Writer


class Semantic(Task):
    """The task `semantic`; see `tasks.base.Task` for what each method does."""

    planned_loss = True
    annotation: Meaning = "labels"
    headline = LABEL_METRICS[0]
    writers: Mapping[str, Writer] = label_files.WRITERS

    def channels(self, classes: Classes) -> tuple[Channels, ...]:
        """Return one softmax group, or one sigmoid channel for a single class."""
        return class_channels(len(classes))

    def target(self, dataset: Dataset, record: Record, size: tuple[int, int]) -> Target:
        """Read a label map; objects are painted in the order of the file."""
        return Target(read_label(dataset, record, size))

    def encode(self, target: Target, classes: Classes) -> dict[str, NDArray[Any]]:
        """Return the label map; for a single class 1 where it is and `IGNORE` where nothing is labelled."""
        if len(classes) > 1:
            return {CLASS_GROUP: target.labels}
        return {CLASS_GROUP: np.where(target.labels == IGNORE, IGNORE, 1).astype(np.uint8)}

    def loss(self, plan: Plan, classes: Classes) -> nn.Module:
        """Return the weighted sum of losses of the plan, on the class channels."""
        return _ClassLoss(losses.weighted_sum(plan.loss, self.channels(classes)[0]))

    def adjust(self, maps: Tensor, decoding: Decoding) -> Tensor:
        """Add the class offsets to the log-probabilities, then divide by the temperature; the sum stays 1."""
        return adjusted(maps, decoding.get("offsets"), decoding.get("temperature", 1.0))

    def ranked(self, raw: Tensor, decoding: Decoding) -> Tensor | None:
        """Add the class offsets to the raw values; a single class is compared with one half, and has none.

        Who leaves a temperature in the decoding wants probabilities: those of `adjust`, without its powers.
        """
        offsets, temperature = decoding.get("offsets"), decoding.get("temperature")
        if len(raw) == 1:
            return None
        if offsets is not None:
            raw.add_(torch.tensor(offsets, device=raw.device)[:, None, None])
        if temperature is None:
            return raw
        assert isinstance(temperature, float | int)
        return raw.div_(temperature).softmax(0)

    def fit(self, seen: Iterator[Seen], images: int, classes: Classes, deadline: float | None) -> Adjustments:
        """Fit class offsets and the temperature on sampled pixels."""
        return fit_labels(seen, images, classes, deadline)

    def decode(
        self,
        blocks: Iterable[Block],
        size: tuple[int, int],
        classes: Classes,
        decoding: Decoding,
        *,
        confidence: bool = False,
    ) -> LabelMap:
        """Choose the likeliest class of every pixel, block by block."""
        return LabelMap.of(blocks, size, confidence=confidence)

    def uncalibrated(self, decoding: Decoding) -> Decoding:
        """Take the temperature off: the judge compares the probabilities before and after it."""
        return {key: value for key, value in decoding.items() if key != "temperature"}

    def judge(self, classes: Classes, decoding: Decoding, *, quick: bool = False) -> LabelJudge:
        """Return a judge of label maps."""
        temperature = decoding.get("temperature", 1.0)
        assert isinstance(temperature, float | int)
        return LabelJudge(classes, temperature, quick=quick)

    def truth(self, target: Target) -> LabelMap:
        """Return the label map of the truth."""
        return LabelMap(target.labels)

    def overlay(self, image: NDArray[Any], result: LabelMap, classes: Classes) -> NDArray[np.uint8]:
        """Tint the image by the classes."""
        return draw.overlay(image, result.labels, classes)

    def paint(self, image: NDArray[np.uint8], target: Target, result: LabelMap, classes: Classes) -> Painted:
        """Draw image, truth, prediction and errors."""
        return label_pictures.paint(image, target.labels, result.labels, classes)

    def legend(self, targets: Iterable[Target], results: Iterable[LabelMap], classes: Classes) -> Legend:
        """Return the classes painted anywhere, and the kinds of errors."""
        maps = (*(target.labels for target in targets), *(result.labels for result in results))
        return label_pictures.legend(maps, classes)

    def describe(self, result: LabelMap, classes: Classes) -> dict[str, int | float]:
        """Return class name -> pixels, of the classes that occur."""
        return dict(result.pixels(classes))


class _ClassLoss(nn.Module):
    """A loss of logits and labels, on the group of class channels."""

    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, maps: dict[str, Tensor], targets: dict[str, Tensor]) -> Tensor:
        """Return the loss of logits (N, K, h, w) and labels (N, h, w)."""
        loss: Tensor = self.loss(maps[CLASS_GROUP], targets[CLASS_GROUP])
        return loss


def adjusted(probabilities: Tensor, offsets: float | list[float] | None, temperature: float | list[float]) -> Tensor:
    """Return p_k exp(o_k), scaled to sum 1, to the power 1 / T and scaled again (Guo et al. 2017 for T).

    It comes last, after tiles and flipped images were averaged, since both were fitted on those averages. The
    temperature never changes which class is likeliest; the offsets do.

    Args:
        probabilities: float32 (K, h, w), softmax of K classes, or the sigmoid of one.
        offsets: constants o (K,) of the log-probabilities, or None for none.
        temperature: T.
    """
    assert isinstance(temperature, float | int)
    single, moved = len(probabilities) == 1, offsets is not None and len(probabilities) > 1
    if not moved and temperature == 1.0:
        return probabilities
    powers = probabilities
    if moved:
        factors = torch.tensor(offsets, dtype=probabilities.dtype, device=probabilities.device).exp()
        powers = probabilities * factors[:, None, None]
    if temperature != 1.0:
        powers = powers.pow_(1 / temperature) if moved else powers.pow(1 / temperature)
    return powers.div_(powers + (1 - probabilities).pow(1 / temperature) if single else powers.sum(dim=0))


__all__ = ["LabelMap", "Semantic", "adjusted", "decide"]
