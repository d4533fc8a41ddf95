"""Mask R-CNN: propose boxes that may contain an object, then classify and correct each, and predict its mask.

He, Gkioxari, Dollar, Girshick 2017, "Mask R-CNN", section 3, on a feature pyramid (Lin et al. 2017). Anchors are
boxes of fixed sizes and shapes around each point of each level. A region proposal network (Ren et al. 2015, section 3)
predicts for each anchor whether it contains an object, and corrects it. RoIAlign samples 7 x 7 points of each proposal
from the level that suits its size, for the class and a corrected box, and 14 x 14 points of each box kept, for a mask
of 28 x 28 per class. Objects may overlap, and no threshold has to separate objects that touch.

Expected: 37.1 mask AP on COCO with a ResNet-101 (their table 1); torchvision's ResNet-50 has 34.6, its second version
41.8.

The layers are torchvision's, and weights of its `maskrcnn_resnet50_fpn` and `maskrcnn_resnet50_fpn_v2` can be imported.
Where we differ: the loss is in `losses.regions`, and `losses.region_sampling` chooses boxes to train on; anchors are
`anchor` strides large, so that one number adapts them to small objects; features and masks are read at the centres of
pixels (`aligned`), without which an object of 6 pixels loses a quarter of its mask; coordinates are float32 even if the
rest is computed in bfloat16.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNConvFCHead, FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.roi_heads import RoIHeads
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead
from torchvision.ops import batched_nms

from maskwright.core.channels import object_channels
from maskwright.core.errors import MaskwrightError
from maskwright.models.layers.blocks import height_width
from maskwright.models.layers.norm import convert_batch_norm, moving_statistics
from maskwright.models.objects.base import Found, ObjectNetwork, Regions
from maskwright.models.objects.pyramid import Pyramid
from maskwright.models.objects.reading import Reading
from maskwright.models.objects.region_heads import Heads
from maskwright.models.objects.region_points import RegionPoints, numbered
from maskwright.models.objects.region_tensors import region_tensors

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from maskwright.models.backbones.base import Backbone
    from maskwright.models.objects.base import Choose, ObjectTensors
    from maskwright.models.objects.region_tensors import Suppress

BOX_POINTS, MASK_POINTS = 7, 14
RATIOS = (0.5, 1.0, 2.0)
"""Height divided by width of the anchors."""
PROPOSALS = 1000
"""Most boxes that are classified in prediction; twice as many are chosen from in training."""
OVERLAP, SAME = 0.7, 0.5
"""Overlap (IoU) with a better box from which a proposal, and an object of the same class, is dropped."""
LEAST_SCORE = 0.05
TYPICAL_BOXES, TYPICAL_MASKS = 1000, 100
"""Boxes and masks of the image whose cost is counted: the largest numbers in the paper."""


class MaskRCNN(ObjectNetwork):
    """Backbone, pyramid and heads."""

    decoder: Pyramid
    head: Heads

    def __init__(self, backbone: Backbone, decoder: Pyramid, head: Heads, classes: int) -> None:
        super().__init__(backbone, decoder, head, classes)
        self.groups = object_channels(classes)

    def forward(  # type: ignore[override]  # see `ObjectNetwork`
        self, x: Tensor, *, choose: Choose | None = None
    ) -> list[Found] | Regions:
        """Find objects; see `ObjectNetwork`."""
        self._check(x)
        size, x = height_width(x), self._padded(x)
        padded = height_width(x)
        with moving_statistics():
            levels = self.decoder(self.backbone(x))
            objectness, shifts, counts = self.head.scored(levels)
            anchors = self.head.anchors(levels, padded)
            proposals = self.head.proposals(anchors, objectness, shifts, counts, size)
            if choose is None:
                return self.head.found(levels, proposals, size)
            boxes, inner = choose(anchors, proposals)
            logits, corrections = self.head.classified(levels, numbered(boxes))
            masks = self.head.drawn(levels, numbered(inner))
        corrections = corrections.view(*logits.shape, 4)
        return Regions(objectness, shifts, logits, corrections, masks, self.head.aligned)

    @property
    def reading(self) -> Reading:
        """How `tensors` become objects."""
        return Reading(aligned=self.head.aligned)

    def tensors(self, x: Tensor, suppress: Suppress = batched_nms) -> ObjectTensors:
        """Find objects as `forward` does, as tensors that `reading` turns into the same objects.

        Args:
            x: see `ObjectNetwork`.
            suppress: drops boxes that overlap a better one of their group.
        """
        size, x = height_width(x), self._padded(x)
        with moving_statistics():
            levels = self.decoder(self.backbone(x))
            return region_tensors(self.head, levels, (height_width(x), size), suppress)

    def typical(self, x: Tensor) -> None:
        """Do the work for one image with `TYPICAL_BOXES` and `TYPICAL_MASKS`, whatever it shows."""
        self.head.scored(self.decoder(self.backbone(self._padded(x))))
        regions, width = self.head.regions, self.decoder.channels
        regions.box_predictor(regions.box_head(x.new_empty(TYPICAL_BOXES, width, BOX_POINTS, BOX_POINTS)))
        regions.mask_predictor(regions.mask_head(x.new_empty(TYPICAL_MASKS, width, MASK_POINTS, MASK_POINTS)))

    def _padded(self, x: Tensor) -> Tensor:
        """Extend `x` at the right and bottom with zeros, the mean colour, as torchvision does."""
        height, width = (self.backbone.fitted(length) for length in x.shape[2:])
        return F.pad(x, (0, width - x.shape[3], 0, height - x.shape[2]))


def build(  # noqa: PLR0913 - its keywords are options of users, each with its line below
    backbone: Backbone,
    classes: int,
    dropout: float = 0.0,
    *,
    width: int = 256,
    version: int = 1,
    anchor: float = 8.0,
    most: int = 100,
    aligned: bool = True,
) -> MaskRCNN:
    """Compose Mask R-CNN.

    Args:
        backbone: image to pyramid.
        classes: K, among them the background.
        dropout: must be 0, as the heads have none.
        width: channels of the pyramid and of the convolutions behind it; the layers that classify a box have four times
            as many units.
        version: 1 for the heads of the paper; 2 for those of torchvision's second version, with more convolutions, all
            batch normalised.
        anchor: side of the anchors, as a multiple of the stride of their level.
        most: most objects in an image, or in a tile of a large one.
        aligned: take the value of a pixel to lie at its centre, in features and masks. torchvision takes it to lie at
            the upper left corner, so its weights need false.

    Raises:
        MaskwrightError: an invalid option.
    """
    _check(classes, dropout, {"width": width, "most": most}, version, anchor)
    decoder = Pyramid(backbone, width, norm=version == 2)
    heads = Heads(_proposing(decoder, version, anchor), _regions(decoder, classes, version, most, aligned=aligned))
    network = MaskRCNN(backbone, decoder, heads, classes)
    convert_batch_norm(network)
    return network


def _proposing(decoder: Pyramid, version: int, anchor: float) -> RegionProposalNetwork:
    """Build what proposes boxes; its thresholds for training are not used, see `losses.region_sampling`."""
    strides = [*decoder.strides, 2 * decoder.strides[-1]]
    anchors = AnchorGenerator(tuple((round(anchor * stride),) for stride in strides), (RATIOS,) * len(strides))
    counts = {"training": 2 * PROPOSALS, "testing": PROPOSALS}
    head = RPNHead(decoder.channels, len(RATIOS), conv_depth=version)
    return RegionProposalNetwork(anchors, head, 0.7, 0.3, 256, 0.5, counts, dict(counts), OVERLAP)


def _regions(decoder: Pyramid, classes: int, version: int, most: int, *, aligned: bool) -> RoIHeads:
    """Build what classifies boxes and draws masks; the same holds for its thresholds for training."""
    width, hidden = decoder.channels, 4 * decoder.channels
    layer: Callable[..., nn.Module] | None = None
    box_head: nn.Module = TwoMLPHead(width * BOX_POINTS**2, hidden)
    if version == 2:
        layer = nn.BatchNorm2d
        box_head = FastRCNNConvFCHead((width, BOX_POINTS, BOX_POINTS), [width] * 4, [hidden], norm_layer=layer)
    return RoIHeads(
        RegionPoints(decoder.strides, BOX_POINTS, aligned=aligned),
        box_head,
        FastRCNNPredictor(hidden, classes),
        *(0.5, 0.5, 512, 0.25, None),
        score_thresh=LEAST_SCORE,
        nms_thresh=SAME,
        detections_per_img=most,
        mask_roi_pool=RegionPoints(decoder.strides, MASK_POINTS, aligned=aligned),
        mask_head=MaskRCNNHeads(width, [width] * 4, 1, norm_layer=layer),
        mask_predictor=MaskRCNNPredictor(width, width, classes),
    )


def _check(classes: int, dropout: float, counts: Mapping[str, int], version: int, anchor: float) -> None:
    """Refuse numbers that no network can have."""
    if classes < 2:
        raise MaskwrightError(f"maskrcnn: classes is {classes}, and it must be 2 or more: one is the background")
    if dropout:
        raise MaskwrightError(f"maskrcnn: model.dropout is {dropout:g}, and its heads have none: leave it out")
    if version not in {1, 2} or not anchor > 0 or min(counts.values()) < 1:
        given = ", ".join(f"{name} {value}" for name, value in counts.items())
        raise MaskwrightError(
            f"maskrcnn: version {version} must be 1 or 2, anchor {anchor:g} above 0, and {given} 1 or more"
        )
