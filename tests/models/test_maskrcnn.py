"""Mask R-CNN finds what torchvision's own finds with the same weights, and counts, refuses and pads as it says."""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
import safetensors.torch
import torch
from torchvision.models import detection
from torchvision.models.detection._utils import overwrite_eps
from torchvision.ops import FrozenBatchNorm2d, MultiScaleRoIAlign

from maskwright import models
from maskwright.core.channels import emits_objects
from maskwright.core.errors import MaskwrightError
from maskwright.inference.engine import TorchEngine
from maskwright.inference.predictor import Predictor
from maskwright.inference.prepared_image import PreparedImage
from maskwright.models import cost
from maskwright.models.importers import import_model
from maskwright.models.importers.recipe import IMAGENET_MEAN, IMAGENET_STD, eight_bit
from maskwright.models.objects.region_points import RegionPoints, numbered
from maskwright.ops.images import working_size_of
from maskwright.tasks.instance_regions import RegionLoss
from maskwright.tasks.object_truths import object_truths

if TYPE_CHECKING:
    from numpy.typing import NDArray

DATA = Path(__file__).parents[2].parent / "shared" / "data"
SMALL: dict[str, Any] = {
    "widths": (4, 6, 8, 10),
    "depths": (1, 1, 1, 1),
    "width": 8,
}


def test_finds_what_torchvision_finds(tmp_path: Path, photo: NDArray[np.uint8]) -> None:
    reference = random_reference("maskrcnn_resnet50_fpn")
    segmenter, card = imported("maskrcnn_resnet50_fpn", saved(reference.state_dict(), tmp_path))
    wanted = found_by(reference, photo)
    agree(TorchEngine(segmenter, card).objects(photo[None])[0], wanted)
    result = Predictor(TorchEngine(segmenter, card), card).with_decoding({"score": 0.0}).result(photo)
    masks = wanted["masks"][:, 0].numpy() >= 0.5
    assert len(result) == masks.any(axis=(1, 2)).sum() > 20
    for entry, mask in zip(result.objects, masks[masks.any(axis=(1, 2))], strict=True):
        assert entry.area == mask.sum()
        assert (mask[entry.rows, entry.columns] == entry.mask).all()


def test_the_first_class_is_the_background(tmp_path: Path) -> None:
    file = tmp_path / "weights.safetensors"
    safetensors.torch.save_file({"roi_heads.box_predictor.cls_score.weight": torch.zeros(2, 4)}, file)
    with pytest.raises(MaskwrightError, match="name it background"):
        import_model("torchvision:maskrcnn_resnet50_fpn", file, ["cat", "dog"])


def test_finds_what_the_second_version_finds(tmp_path: Path, photo: NDArray[np.uint8]) -> None:
    reference = random_reference("maskrcnn_resnet50_fpn_v2")
    segmenter, card = imported("maskrcnn_resnet50_fpn_v2", saved(reference.state_dict(), tmp_path))
    agree(TorchEngine(segmenter, card).objects(photo[None])[0], found_by(reference, photo))


def test_the_weights_of_the_other_version_are_named(tmp_path: Path) -> None:
    one, two = "maskrcnn_resnet50_fpn", "maskrcnn_resnet50_fpn_v2"
    for given, wanted in ((two, one), (one, two)):
        file = saved(random_reference(given).state_dict(), tmp_path)
        with pytest.raises(MaskwrightError, match=f"holds the weights of {given}, not of {wanted}: import torch"):
            import_model(f"torchvision:{wanted}", file)


@pytest.mark.parametrize("published", [True, False])
def test_frozen_norms_add_what_torchvision_adds(
    published: bool, tmp_path: Path, photo: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing in the published weights, and 1e-5 in a network that began with a pretrained backbone."""
    reference = random_reference("maskrcnn_resnet50_fpn")
    freeze(reference)
    file = saved(reference.state_dict(), tmp_path)
    if published:
        overwrite_eps(reference, 0.0)
        digest = hashlib.sha256(file.read_bytes()).hexdigest()[:8]
        theirs = SimpleNamespace(url=f"https://host/maskrcnn-{digest}.pth", meta={"categories": ["__background__"]})
        monkeypatch.setattr(detection, "MaskRCNN_ResNet50_FPN_Weights", SimpleNamespace(DEFAULT=theirs))
    segmenter, card = imported("maskrcnn_resnet50_fpn", file)
    assert ("plain standard deviation" in card.summary["imported"]["notes"][-1]) == published
    agree(TorchEngine(segmenter, card).objects(photo[None])[0], found_by(reference, photo))


def freeze(module: torch.nn.Module) -> None:
    """Replace batch normalisation by torchvision's frozen one, with variances so small that 1e-5 counts."""
    for name, child in module.named_children():
        if isinstance(child, torch.nn.BatchNorm2d):
            frozen = FrozenBatchNorm2d(child.num_features)
            frozen.load_state_dict(child.state_dict())
            frozen.running_var *= 1e-5
            frozen.weight *= 1e-5**0.5
            setattr(module, name, frozen)
        freeze(child)


def test_reads_the_names_of_old_files(tmp_path: Path, photo: NDArray[np.uint8]) -> None:
    reference = random_reference("maskrcnn_resnet50_fpn")
    old = {}
    for name, tensor in reference.state_dict().items():
        renamed = re.sub(r"(fpn\.\w+_blocks\.\d)\.0\.", r"\1.", name).replace("rpn.head.conv.0.0.", "rpn.head.conv.")
        renamed = re.sub(r"mask_head\.(\d)\.0\.", lambda hit: f"mask_head.mask_fcn{int(hit[1]) + 1}.", renamed)
        old[renamed] = tensor
    segmenter, card = imported("maskrcnn_resnet50_fpn", saved(old, tmp_path))
    agree(TorchEngine(segmenter, card).objects(photo[None])[0], found_by(reference, photo))


def test_points_of_boxes_are_those_of_torchvision_or_lie_half_a_pixel_further() -> None:
    """Where the value of a pixel is the place of its centre, a point of a box has its own place as value."""
    strides, padded = (4, 8, 16), (256, 320)
    grids = [torch.meshgrid(*(stride * (torch.arange(side // stride) + 0.5) for side in padded), indexing="ij")
             for stride in strides]  # fmt: skip
    levels = [torch.stack(grid)[None].expand(2, -1, -1, -1) for grid in grids]
    boxes = [
        torch.tensor([[20.0, 30.0, 28.0, 50.0], [40.0, 20.0, 180.0, 160.0]]),
        torch.tensor([[16.5, 24.25, 272.0, 230.0]]),
    ]
    theirs = MultiScaleRoIAlign(["0", "1", "2"], 7, sampling_ratio=2)
    named = OrderedDict((str(place), level) for place, level in enumerate(levels))
    found = RegionPoints(strides, 7, aligned=False)(levels, numbered(boxes))
    assert torch.equal(found, theirs(named, boxes, [padded] * 2))
    left, top, right, bottom = torch.cat(boxes).T[:, :, None]
    share = (torch.arange(7) + 0.5) / 7
    down, across = top + share * (bottom - top), left + share * (right - left)
    wanted = torch.stack([down[:, :, None].expand(-1, -1, 7), across[:, None].expand(-1, 7, -1)], 1)
    torch.testing.assert_close(
        RegionPoints(strides, 7, aligned=True)(levels, numbered(boxes)), wanted, atol=1e-3, rtol=0
    )
    assert (found - wanted).abs().amin() > 1.9, "half of the finest stride"


@pytest.mark.parametrize("size", [(480, 640), (375, 500), (100, 1000), (1201, 800), (333, 777), (800, 800)])
def test_working_resolution_is_that_of_torchvision(size: tuple[int, int]) -> None:
    resize = detection.transform.GeneralizedRCNNTransform(800, 1333, [0.0], [1.0]).eval()
    data = eight_bit((0.5,) * 3, (0.2,) * 3).model_copy(update={"sides": (800, 1333)})
    assert working_size_of(size, data) == resize([torch.zeros(1, *size)])[0].image_sizes[0]


@pytest.mark.parametrize("size", [(480, 640), (100, 1000), (1201, 820), (1701, 2300)])
def test_pixels_are_those_of_torchvision_rounded(size: tuple[int, int]) -> None:
    """Enlarged and shrunk; after normalisation too."""
    torch.manual_seed(0)
    image = torch.randint(0, 256, (3, *size), dtype=torch.uint8)
    transform = detection.transform.GeneralizedRCNNTransform(800, 1333, list(IMAGENET_MEAN), list(IMAGENET_STD)).eval()
    theirs = transform([image / 255])[0]
    height, width = theirs.image_sizes[0]
    mean, std = (torch.tensor(values)[:, None, None] for values in (IMAGENET_MEAN, IMAGENET_STD))
    wanted = 255 * (theirs.tensors[0, :, :height, :width] * std + mean)
    data = eight_bit(IMAGENET_MEAN, IMAGENET_STD).model_copy(update={"sides": (800, 1333), "resize": "bilinear"})
    source = PreparedImage(image.permute(1, 2, 0).numpy(), data)
    assert source.working == (height, width)
    found = torch.from_numpy(source.rows(0, height)).permute(2, 0, 1)
    assert (found - wanted).abs().max() <= 0.5 + 0.05, "torch places its points with float32"


@pytest.mark.parametrize("size", [(64, 87), (310, 420)])
def test_finds_what_torchvision_finds_in_an_image_that_both_resize(size: tuple[int, int], tmp_path: Path) -> None:
    """Up to what rounding the pixels changes."""
    image = photograph(size)
    reference = random_reference("maskrcnn_resnet50_fpn")
    segmenter, card = imported("maskrcnn_resnet50_fpn", saved(reference.state_dict(), tmp_path))
    wanted = found_by(reference, image)
    source = PreparedImage(image, card.data)
    ours = TorchEngine(segmenter, card).objects(source.rows(0, source.working[0])[None])[0]
    factor = torch.tensor([size[1] / source.working[1], size[0] / source.working[0]] * 2)
    mine = torch.cat([ours.boxes * factor, ours.classes[:, None], ours.scores[:, None]], 1)
    theirs = torch.cat([wanted["boxes"], wanted["labels"][:, None], wanted["scores"][:, None]], 1)
    assert len(mine) == len(theirs) > 20
    # These random weights give many boxes almost the same score: rounding decides which of two suppresses the other.
    assert (torch.cdist(theirs, mine, p=torch.inf).amin(1) < 0.01).float().mean() >= 0.8


def test_an_image_of_any_size_gives_objects_inside_it() -> None:
    network = models.create("maskrcnn", 3, **SMALL).eval()
    for size in [(1, 1), (33, 70), (64, 64)]:
        found = network(torch.randn(2, 3, *size))
        assert len(found) == 2
        for objects in found:
            assert objects.masks.shape == (len(objects.boxes), 28, 28)
            assert (objects.boxes >= 0).all()
            assert (objects.boxes <= torch.tensor([size[1], size[0], size[1], size[0]])).all()
            assert (objects.classes > 0).all()


def test_boxes_and_losses_are_float32_in_bfloat16() -> None:
    """Rounded to bfloat16, coordinates above 256 would be whole pixels, and even ones above 512."""
    torch.manual_seed(0)
    network = models.create("maskrcnn", 3, **SMALL).train()
    x, ids = torch.randn(2, 3, 320, 704), torch.zeros(2, 1, 320, 704)
    ids[0, :, 33:90, 601:683], ids[1, :, 101:301, 515:690] = 1, 2
    loss = RegionLoss(partial(object_truths, order=(0, 1, 2)))
    found, losses = [], []
    for enabled in (False, True):
        sampling = loss.sampling({"objects": torch.cat([ids, (ids > 0).float()], 1)}, seed=3)
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            outputs = network(x, choose=sampling.choose)
            found += [network.eval()(x)[0]]
            network.train()
        assert {part.dtype for part in (*outputs[:-1], *sampling.corrections)} == {torch.float32}
        assert sampling.masks(aligned=outputs.aligned).dtype == torch.float32
        for chosen in sampling.anchors:
            assert chosen[2].dtype == torch.float32
        assert (found[-1].boxes.dtype, found[-1].scores.dtype, found[-1].masks.dtype) == (torch.float32,) * 3
        losses.append(loss(outputs, sampling))
        losses[-1].backward()
        assert all(weight.grad is None or weight.grad.isfinite().all() for weight in network.parameters())
    assert losses[1].dtype == torch.float32
    torch.testing.assert_close(losses[1], losses[0], rtol=0.02, atol=0)
    inside = found[1].boxes[(found[1].boxes > 260) & (found[1].boxes < 700)]
    assert (inside.round() - inside).abs().mean() > 0.1, "whole pixels"


def test_the_cost_does_not_depend_on_what_the_image_shows() -> None:
    counted = cost.cost_of("maskrcnn")
    with torch.device("meta"):
        network = models.create("maskrcnn", cost.CLASSES)
    assert counted.parameters == sum(weight.numel() for weight in network.parameters())
    # The two linear layers of 1000 boxes, 12544 x 1024 and 1024 x 1024, are 13.9 G of it.
    assert counted.multiply_adds > 13.9e9


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"width": 0}, "width 0"),
        ({"version": 3}, "version 3"),
        ({"anchor": 0.0}, "anchor 0"),
        ({"dropout": 0.1}, "dropout is 0.1"),
        ({"aux_levels": [0]}, "aux_levels"),
    ],
)
def test_invalid_options_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(MaskwrightError, match=words):
        models.create("maskrcnn", 3, **{**SMALL, **options})
    with pytest.raises(MaskwrightError, match="2 or more"):
        models.create("maskrcnn", 1, **SMALL)


def random_reference(name: str) -> torch.nn.Module:
    """Build torchvision's network with random weights that find many objects with different scores."""
    torch.manual_seed(0)
    network = getattr(detection, name)(weights=None, weights_backbone=None, num_classes=4, min_size=96, max_size=400)
    random = torch.Generator().manual_seed(0)
    for key, weight in network.named_parameters():
        if key.endswith("bn3.weight"):
            weight.data.fill_(0.3)  # otherwise 16 residual blocks amplify every rounding
        for part, size in (("cls_score.weight", 0.02), ("bbox_pred.weight", 0.002)):
            if part in key:
                weight.data = size * torch.randn(weight.shape, generator=random)
    for key, value in network.named_buffers():
        if key.endswith("running_mean"):
            value.copy_(0.1 * torch.randn(value.shape, generator=random))
        if key.endswith("running_var"):
            value.copy_(torch.rand(value.shape, generator=random) + 0.5)
    return quick(network, network.rpn, network.roi_heads).eval()


def quick(network: Any, rpn: Any, regions: Any) -> Any:
    """Look at fewer boxes than usual."""
    rpn._post_nms_top_n["testing"] = 100
    regions.detections_per_img = 30
    return network


def saved(tensors: dict[str, torch.Tensor], folder: Path) -> Path:
    file = folder / "weights.safetensors"
    safetensors.torch.save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, file)
    return file


def imported(name: str, file: Path) -> tuple[Any, Any]:
    """Import weights, for images that are at the working resolution already."""
    segmenter, card = import_model(f"torchvision:{name}", file)
    assert card.task == "instance"
    assert emits_objects(card.channels)
    assert (card.data.sides, card.data.resize) == ((800, 1333), "bilinear")
    card.data.sides = (96, 400)
    return quick(segmenter, segmenter.head.rpn, segmenter.head.regions), card


@torch.no_grad()
def found_by(reference: torch.nn.Module, image: NDArray[np.uint8]) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = reference([torch.from_numpy(image).permute(2, 0, 1).float() / 255])[0]
    return found


def agree(ours: Any, wanted: dict[str, torch.Tensor]) -> None:
    assert len(ours.boxes) > 20
    torch.testing.assert_close(ours.boxes, wanted["boxes"], atol=1e-4, rtol=0)
    torch.testing.assert_close(ours.scores, wanted["scores"], atol=1e-5, rtol=0)
    assert torch.equal(ours.classes, wanted["labels"])


def photograph(size: tuple[int, int]) -> NDArray[np.uint8]:
    """A photograph (height, width, 3), made smaller."""
    if not DATA.is_dir():
        pytest.skip("the real data beside the checkout is absent")
    image = cv2.imread(str(min((DATA / "pedestrians/images").iterdir())))
    assert image is not None
    return np.ascontiguousarray(cv2.resize(image, size[::-1])[:, :, ::-1])


@pytest.fixture
def photo() -> NDArray[np.uint8]:
    """A photograph whose shorter side is that at which the reference works, so that neither side resizes it."""
    return photograph((96, 130))


@pytest.mark.parametrize("version", [1, 2])
def test_a_batch_without_a_single_box_gives_finite_gradients(version: int) -> None:
    """Where the annotation says nothing, no box is drawn at all."""
    network = models.create("maskrcnn", 2, version=version, **SMALL).train()
    planes = torch.full((2, 2, 64, 64), torch.nan)
    loss = RegionLoss(partial(object_truths, order=(0, 1)))
    sampling = loss.sampling({"objects": planes}, 0)
    outputs = network(torch.randn(2, 3, 64, 64), choose=sampling.choose)
    assert outputs.corrections.shape == (0, 2, 4)
    loss(outputs, sampling).backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in network.parameters())
