"""What a network that finds objects takes and returns. Knows no architecture, no truth and no loss."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, NamedTuple

from maskwright.models.segmenter import Segmenter

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    Choose = Callable[[Tensor, list[Tensor]], tuple[list[Tensor], list[Tensor]]]
    """Chooses which boxes the heads are trained on: (anchors (A, 4), proposals (n, 4) of each image) to boxes (n, 4) of
    each image to classify, and those to draw masks in. The truth stays on the caller's side: the network sees boxes."""


class Regions(NamedTuple):
    """The raw outputs of a network in training.

    Attributes:
        objectness: (N, A), logit that an anchor holds an object.
        shifts: (N, A, 4), from each anchor to its object, as `losses.region_sampling.encoded` writes it.
        classes: (R, K), logits of the chosen boxes of all images, in order.
        corrections: (R, K, 4), from each chosen box to the object of each class.
        masks: (P, K, M, M), logits of the boxes to draw in.
        aligned: how masks lie in boxes, see `Found`.
    """

    objectness: Tensor
    shifts: Tensor
    classes: Tensor
    corrections: Tensor
    masks: Tensor
    aligned: bool


class Found(NamedTuple):
    """The objects that a network finds in one image, from the highest score to the lowest.

    Attributes:
        boxes: (n, 4), left, top, right, bottom in pixels of the network's input.
        classes: (n,), row of the class; 0 is "no object" and does not occur.
        scores: (n,), 0..1.
        masks: (n, M, M), probability that a point of the box belongs to the object.
        aligned: the points are the M x M equal parts of the box. False: they lie where torchvision puts them, which
            takes the value of a pixel to lie at its upper left corner.
    """

    boxes: Tensor
    classes: Tensor
    scores: Tensor
    masks: Tensor
    aligned: bool


class Queries(NamedTuple):
    """What a network of queries says before one of its layers, or after it, in training.

    Attributes:
        classes: (N, Q, K + 1), logits of the classes of queries, "no object" last.
        masks: (N, Q, h, w), logits of their masks.
        stride: of the masks; h and w include what was added to the image at the right and bottom.
    """

    classes: Tensor
    masks: Tensor
    stride: int


class Segments(NamedTuple):
    """The segments that a network of queries finds in one image, from the highest score to the lowest.

    Attributes:
        classes: (n,), row of the class.
        scores: (n,), 0..1.
        masks: (n, h, w), logits; a point is `stride` pixels wide, and the first begins at the corner of the image.
        stride: of the masks.
    """

    classes: Tensor
    scores: Tensor
    masks: Tensor
    stride: int


class ObjectTensors(NamedTuple):
    """The objects that a network of boxes finds in a batch, by image and then from the highest score to the lowest.

    Attributes:
        image_index: int64 (n,), which image of the batch.
        boxes, classes, scores, masks: see `Found`.
    """

    image_index: Tensor
    boxes: Tensor
    classes: Tensor
    scores: Tensor
    masks: Tensor


class QueryTensors(NamedTuple):
    """What a network of queries says at last.

    Attributes:
        class_logits: (N, Q, K + 1), "no object" last.
        mask_logits: (N, Q, h, w), see `Queries`.
    """

    class_logits: Tensor
    mask_logits: Tensor


class ObjectNetwork(Segmenter):
    """Base class: image to objects. Row 0 of its classes stands for "no object", the others for classes in order."""

    mirrored = False

    @abstractmethod
    def forward(  # type: ignore[override]  # objects, not maps: whoever calls it knows from `groups`
        self, x: Tensor, *, choose: Choose | None = None
    ) -> list[Found] | Regions:
        """Find objects.

        Args:
            x: images (N, C, H, W), floating point, normalised as in the training.
            choose: in training: chooses the boxes that the heads see.

        Returns:
            The objects of each image; with `choose`, the raw outputs.

        Raises:
            MaskwrightError: `x` does not have four axes, has another number of channels, or integer values.
        """
