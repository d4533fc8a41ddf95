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

from collections import OrderedDict
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNConvFCHead, FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.roi_heads import RoIHeads, maskrcnn_inference
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead, concat_box_prediction_layers
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from maskwright.core.channels import object_channels
from maskwright.core.errors import MaskwrightError
from maskwright.models.backbones.base import pyramid_levels
from maskwright.models.heads.pixel import Head
from maskwright.models.layers.blocks import height_width
from maskwright.models.layers.norm import convert_batch_norm, moving_statistics
from maskwright.models.objects.base import Found, ObjectNetwork, Regions
from maskwright.models.objects.region_points import RegionPoints
from maskwright.models.segmenter import Decoder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from maskwright.models.backbones.base import Backbone
    from maskwright.models.objects.base import Choose

FINEST = 4
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


class Pyramid(Decoder):
    """The feature pyramid of the levels from stride 4 on, and one level more, at twice the coarsest stride.

    Args:
        backbone: its levels are the input.
        width: channels of the pyramid.
        norm: with batch normalisation.
    """

    def __init__(self, backbone: Backbone, width: int, *, norm: bool) -> None:
        levels = pyramid_levels(backbone.reductions, FINEST)
        super().__init__(width, backbone.reductions[levels[0]])
        self.levels = levels
        self.strides = [backbone.reductions[level] for level in levels]
        self.fpn = FeaturePyramidNetwork(
            [backbone.channels[level] for level in levels],
            width,
            LastLevelMaxPool(),
            norm_layer=nn.BatchNorm2d if norm else None,
        )

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Return the levels (N, width, h, w), finest first."""
        named = OrderedDict((str(place), features[level]) for place, level in enumerate(self.levels))
        return list(self.fpn(named).values())


class Heads(Head):
    """Everything behind the pyramid.

    Args:
        rpn: proposes boxes.
        regions: classifies boxes and draws masks.
    """

    def __init__(self, rpn: RegionProposalNetwork, regions: RoIHeads) -> None:
        super().__init__()
        self.rpn = rpn
        self.regions = regions

    @property
    def bias(self) -> Tensor:
        """The bias (K,) of the classes of boxes."""
        return cast("Tensor", self.regions.box_predictor.cls_score.bias)

    @property
    def aligned(self) -> bool:
        """How masks lie in boxes, see `Found`: as the points lie from which they are drawn."""
        return cast("RegionPoints", self.regions.mask_roi_pool).aligned

    def anchors(self, levels: list[Tensor], padded: tuple[int, int]) -> Tensor:
        """Return the anchors (A, 4) of all levels of an image of the size `padded`."""
        generator, device = self.rpn.anchor_generator, levels[0].device
        generator.set_cell_anchors(torch.float32, device)
        grids = [list(height_width(level)) for level in levels]
        strides = [
            [torch.tensor(side // points, device=device) for side, points in zip(padded, grid, strict=True)]
            for grid in grids
        ]
        return torch.cat(generator.grid_anchors(grids, strides))

    def scored(self, levels: list[Tensor]) -> tuple[Tensor, Tensor, list[int]]:
        """Return objectness (N, A) and shifts (N, A, 4) of all anchors, and the number of anchors by level."""
        objectness, shifts = self.rpn.head(levels)
        counts = [level[0].numel() for level in objectness]
        flat = concat_box_prediction_layers([x.float() for x in objectness], [x.float() for x in shifts])
        images = len(levels[0])
        return flat[0].view(images, -1), flat[1].view(images, -1, 4), counts

    def proposals(
        self, anchors: Tensor, objectness: Tensor, shifts: Tensor, counts: list[int], size: tuple[int, int]
    ) -> list[Tensor]:
        """Return the best boxes (n, 4) of each image of `size`; gradients end here."""
        images = len(objectness)
        boxes = self.rpn.box_coder.decode(shifts.detach().reshape(-1, 4), [anchors] * images).view(images, -1, 4)
        return cast("list[Tensor]", self.rpn.filter_proposals(boxes, objectness, [size] * images, counts)[0])

    def classified(self, levels: list[Tensor], boxes: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Return the logits (R, K) of boxes and their corrections (R, 4 K)."""
        points = self.regions.box_roi_pool(levels, boxes)
        logits, corrections = self.regions.box_predictor(self.regions.box_head(points))
        return logits.float(), corrections.float()

    def drawn(self, levels: list[Tensor], boxes: list[Tensor]) -> Tensor:
        """Return the logits (P, K, M, M) of the masks in boxes."""
        points = self.regions.mask_roi_pool(levels, boxes)
        return cast("Tensor", self.regions.mask_predictor(self.regions.mask_head(points))).float()

    def found(self, levels: list[Tensor], proposals: list[Tensor], size: tuple[int, int]) -> list[Found]:
        """Return the objects of each image of `size`."""
        logits, corrections = self.classified(levels, proposals)
        kept = self.regions.postprocess_detections(logits, corrections, proposals, [size] * len(proposals))
        masks = maskrcnn_inference(self.drawn(levels, kept[0]), kept[2])
        rows = zip(*kept, masks, strict=True)
        return [Found(boxes, classes, scores, mask[:, 0], self.aligned) for boxes, scores, classes, mask in rows]


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
            logits, corrections = self.head.classified(levels, boxes)
            masks = self.head.drawn(levels, inner)
        corrections = corrections.view(*logits.shape, 4)
        return Regions(objectness, shifts, logits, corrections, masks, self.head.aligned)

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
