"""FCN-32s, 16s and 8s against the layers that the authors published, and their staged training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from tests.models.references import weights_of
from torch import Tensor, nn
from torch.nn import functional as F

from maskwright import models
from maskwright.core.channels import class_channels
from maskwright.core.classes import Classes
from maskwright.core.errors import MaskwrightError
from maskwright.core.plan import DataPlan, ModelPlan, Plan
from maskwright.models import bundle
from maskwright.models.heads.skip import BilinearUp, SkipHead
from maskwright.models.transfer import take_over
from maskwright.workflows.train_parts import network

if TYPE_CHECKING:
    from pathlib import Path

FAMILY = ("fcn32s", "fcn16s", "fcn8s")
SMALL: dict[str, Any] = {"width_factor": 1 / 16}


def small(name: str, classes: int = 3, **options: Any) -> models.Segmenter:
    return models.create(name, classes, 3, "vgg16", **{**SMALL, **options})


def with_skips(model: models.Segmenter) -> models.Segmenter:
    """Give the skips and all biases values of their own."""
    for name, weight in model.named_parameters():
        if "skips" in name or name.endswith("bias"):
            nn.init.normal_(weight, std=0.05)
    nn.init.normal_(model.head.score[1].weight, std=0.1)
    return model.eval()


def bilinear(x: Tensor, factor: int) -> Tensor:
    """The authors' surgery.py: a tent of twice the factor, one a class, nothing padded."""
    ramp = 1 - (torch.arange(2 * factor) - (factor - 0.5)).abs() / factor
    kernel = torch.outer(ramp, ramp).expand(x.shape[1], 1, -1, -1)
    return F.conv_transpose2d(x, kernel, stride=factor, groups=x.shape[1])


def published(name: str, model: models.Segmenter, image: Tensor) -> Tensor:
    """Compute the scores as voc-fcn32s, 16s and 8s of fcn.berkeleyvision.org do, by their paddings and crops.

    conv1_1 pads by 100 and fc6 not at all; crops: pool4 at 5, pool3 at 9, scores at 19, 27 and 31 (caffe's coord_map).
    """
    convolutions = [layer for layer in model.backbone.modules() if isinstance(layer, nn.Conv2d)]
    x, pools = F.pad(image, (99,) * 4), []
    for depth in (2, 2, 3, 3, 3):
        for _ in range(depth):
            x = F.relu(convolutions.pop(0)(x))
        x = F.max_pool2d(x, 2)
        pools.append(x)
    six, seven = convolutions
    x = F.relu(F.conv2d(x, six.weight, six.bias))
    x = model.head.score[1](F.relu(seven(x)))
    for skip, level, offset in zip(model.head.skips, (pools[3], pools[2]), (5, 9), strict=False):
        x = bilinear(x, 2)
        side = slice(offset, offset + x.shape[2]), slice(offset, offset + x.shape[3])
        x = x + skip(level)[:, :, *side]
    factor, crop = {"fcn32s": (32, 19), "fcn16s": (16, 27), "fcn8s": (8, 31)}[name]
    return bilinear(x, factor)[:, :, crop : crop + image.shape[2], crop : crop + image.shape[3]]


@pytest.mark.parametrize("name", FAMILY)
@pytest.mark.parametrize("size", [(186, 218), (218, 154)])
@torch.no_grad()
def test_they_are_the_networks_that_the_authors_published(name: str, size: tuple[int, int]) -> None:
    model, image = with_skips(small(name)), torch.randn(1, 3, *size)
    expected = published(name, model, image)
    # With the authors' frame of zeros, at sizes that make it a multiple of 32, our grid lies where theirs does. Their
    # coarsest scores begin 12 pixels inside the image, and what is interpolated from beyond differs.
    found = model(F.pad(image, (99,) * 4))[:, :, 99 : 99 + size[0], 99 : 99 + size[1]]
    inner = (slice(None), slice(None), slice(32, size[0] - 32), slice(32, size[1] - 32))
    assert (found - expected)[inner].abs().max() < 1e-4 * expected.abs().max()


@pytest.mark.parametrize("name", FAMILY)
def test_weights_and_layers_are_those_of_the_authors(name: str) -> None:
    # Long et al. 2015, table 1: 134M weights; to these come 21 (4096 + 1) for the scores, 21 (512 + 1) for pool4 and
    # 21 (256 + 1) for pool3, and here a kernel of 4x4 a class for each learnt upsampling.
    with torch.device("meta"):
        model = models.create(name, 21, 3, "vgg16")
    scores = 21 * 4097 + {"fcn32s": 0, "fcn16s": 21 * (513 + 16), "fcn8s": 21 * (513 + 257 + 2 * 16)}[name]
    assert weights_of(model) == 134_260_544 + scores
    levels = {"fcn32s": (5,), "fcn16s": (5, 3), "fcn8s": (5, 3, 2)}[name]
    assert model.decoder.levels == levels
    assert [model.backbone.reductions[level] for level in levels] == [32, 16, 8][: len(levels)]


def test_learnt_upsampling_starts_as_bilinear_interpolation() -> None:
    x = torch.randn(2, 3, 5, 7)
    expected = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
    torch.testing.assert_close(BilinearUp(3)(x), expected)
    inside = (slice(None), slice(None), slice(1, -1), slice(1, -1))
    torch.testing.assert_close(BilinearUp(3)(x)[inside], bilinear(x, 2)[:, :, 1:-1, 1:-1][inside])


def test_skips_start_at_nothing() -> None:
    torch.manual_seed(1)
    fine = small("fcn8s").eval()
    coarse = small("fcn32s").eval()
    tensors = {name: value for name, value in fine.state_dict().items() if name in coarse.state_dict()}
    coarse.load_state_dict(tensors)
    image = torch.randn(1, 3, 96, 64)
    assert (fine(image) - coarse(image)).abs().max() < 0.2 * coarse(image).abs().max()  # interpolated in three steps
    at_once = F.interpolate(coarse.head(coarse.decoder(coarse.backbone(image))), scale_factor=2, mode="bilinear")
    sixteen = fine.head.ups[0](fine.head.score(fine.backbone(image)[5]))
    torch.testing.assert_close(at_once, sixteen)


@pytest.mark.parametrize("progress", [0.0, 0.3, 0.34, 0.6, 0.67, 1.0])
def test_staged_skips_learn_one_after_the_other(progress: float) -> None:
    head = SkipHead((8, 6, 4), 2, 0.0, staged=True)
    maps = [torch.randn(1, 8, 2, 2), torch.randn(1, 6, 4, 4), torch.randn(1, 4, 8, 8)]
    head.set_progress(progress)
    head(maps).square().sum().backward()
    moving = [bool(skip.weight.grad.any()) for skip in head.skips]
    assert moving == [progress >= 1 / 3, progress >= 2 / 3]
    assert all(weight.grad is not None for weight in head.parameters()), "several processes want a gradient for each"
    at_once = SkipHead((8, 6, 4), 2, 0.0, staged=False)
    at_once.load_state_dict(head.state_dict())
    assert torch.equal(at_once(maps), head(maps))


def test_a_finer_network_starts_from_a_coarser_one(tmp_path: Path) -> None:
    before = with_skips(small("fcn32s"))
    coarse, fine = (ModelPlan(name=name, backbone="vgg16", options=SMALL) for name in ("fcn32s", "fcn16s"))
    names = ["a", "b", "c"]
    card = bundle.Card(model=coarse, classes=bundle.CardClasses.of(Classes.named(names)), data=DataPlan())
    bundle.save(tmp_path / "coarse.safetensors", before, card)
    after = small("fcn16s").eval()
    taken = take_over(after, fine, names, tmp_path / "coarse.safetensors")
    assert (taken.decoder, taken.kept, taken.fresh) == (True, ("a", "b", "c"), ())
    for name, value in before.state_dict().items():
        assert torch.equal(after.state_dict()[name], value), name
    assert not after.head.skips[0].weight.any()
    bundle.save(tmp_path / "fine.safetensors", after, card.model_copy(update={"model": fine}))
    back = take_over(small("fcn32s"), coarse, names, tmp_path / "fine.safetensors")
    assert not back.decoder, "the finer one has scores that the coarser has no place for"


def test_the_last_constants_move_every_logit_alike() -> None:
    # What is fitted on validation images is added there.
    for name in FAMILY:
        model, image = with_skips(small(name)), torch.randn(1, 3, 70, 50)
        before = model(image)
        with torch.no_grad():
            model.head.bias.add_(torch.tensor([1.0, -2.0, 0.5]))
        shift = torch.tensor([1.0, -2.0, 0.5]).reshape(1, 3, 1, 1).expand_as(before)
        torch.testing.assert_close(model(image) - before, shift, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("finest", [1, 2, 8])
def test_the_loss_can_be_taken_at_every_pixel(finest: int) -> None:
    model = small("fcn32s", finest=finest)
    assert model.native_stride == finest
    assert model(torch.randn(1, 3, 40, 33), upsample=False).shape[2:] == (-(-40 // finest), -(-33 // finest))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("fcn8s", {"finest": 3}, "finest is 3"),
        ("fcn16s", {"output_stride": 8}, r"fcn16s needs levels .* has \[2, 4, 8\]"),
        ("fcn8s", {"depths": (1, 1)}, r"fcn8s needs levels .* has \[2, 4\]"),
    ],
)
def test_what_does_not_fit_is_named(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(MaskwrightError, match=message):
        small(name, **options)


def test_a_training_that_ended_early_gives_a_network_with_all_its_skips() -> None:
    """What is judged and saved has all its skips, wherever the training stopped: the last bias is the logits'."""
    plan = Plan(model=ModelPlan(name="fcn8s", backbone="vgg16", options={"width_factor": 1 / 64, "staged": True}))
    stopped = models.create_from_plan(plan.model, 2, 3)
    stopped.set_progress(0.2)
    segmenter, _ = network.last_network(plan, class_channels(2), stopped.state_dict(), 1)
    image = torch.randn(1, 3, 32, 32)
    before = segmenter.eval()(image)
    with torch.no_grad():
        segmenter.head.bias.add_(torch.tensor([1.0, -1.0]))
    assert (segmenter(image) - before)[0, :, 0, 0].tolist() == pytest.approx([1.0, -1.0], abs=1e-5)
