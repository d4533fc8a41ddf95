from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file
from tests.models.references import weights_of
from torch import nn

from maskwright import models
from maskwright.core.classes import Classes
from maskwright.core.errors import MaskwrightError
from maskwright.core.plan import DataPlan, LoraPlan, ModelPlan
from maskwright.models import bundle, lora

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Build = Callable[..., models.Segmenter]

BACKBONES = ["compact", "timm:test_efficientnet", "timm:test_convnext"]
OPTIONS: dict[str, Any] = {"widths": [4, 6, 8, 10], "depths": [1, 1, 1, 1]}


def network(backbone: str) -> models.Segmenter:
    torch.manual_seed(1)
    return models.create("swiftnet", 3, backbone=backbone, width=8, **(OPTIONS if backbone == "compact" else {}))


def shake(segmenter: models.Segmenter) -> None:
    """Give every change a value, as training would."""
    with torch.no_grad():
        for module in segmenter.modules():
            if isinstance(module, lora.LowRank):
                module.second.normal_(std=0.1)


def test_the_change_by_hand() -> None:
    change = lora.LowRank(torch.zeros(2, 1, 1, 2), rank=1, scale=2.0)
    with torch.no_grad():
        change.first.copy_(torch.tensor([[1.0, 3.0]]))
    assert change(torch.ones(2, 1, 1, 2)).tolist() == [[[[1.0, 1.0]]], [[[1.0, 1.0]]]], "it begins at nothing"
    with torch.no_grad():
        change.second.copy_(torch.tensor([[0.5], [-1.0]]))
    assert change(torch.ones(2, 1, 1, 2)).tolist() == [[[[2.0, 4.0]]], [[[-1.0, -5.0]]]]


def test_the_change_is_the_layer_of_the_paper() -> None:
    """h = W0 x + (alpha / r) B A x, with A as a convolution of r filters and B as one of 1x1."""
    torch.manual_seed(0)
    for layer in (nn.Conv2d(6, 8, 3, padding=1), nn.Conv2d(6, 8, (1, 3), stride=2, dilation=2)):
        change = lora.LowRank(layer.weight, rank=2, scale=0.7)
        nn.init.normal_(change.second)
        x = torch.randn(2, 6, 9, 11)
        settings = (layer.stride, layer.padding, layer.dilation)
        inner = nn.functional.conv2d(x, change.first.view(2, *layer.weight.shape[1:]), None, *settings)
        paper = layer(x) + 0.7 * nn.functional.conv2d(inner, change.second[:, :, None, None])
        ours = nn.functional.conv2d(x, change(layer.weight), layer.bias, *settings)
        torch.testing.assert_close(ours, paper, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "rank"),
    [((256, 256, 3, 3), 8), ((256, 256), 8), ((64, 64, 3, 3), 3), ((32, 32, 3, 3), 1), ((16, 1, 3, 3), 1), ((4, 1), 0)],
)
def test_a_layer_gets_the_rank_that_it_has_room_for(shape: tuple[int, ...], rank: int) -> None:
    """Of 64x576: 64 * 576 / 16 = 2304 numbers at most, and each rank costs 64 + 576."""
    assert lora.rank_of(torch.empty(shape), 8) == rank


def test_a_change_is_scaled_by_the_rank_of_its_own_layer() -> None:
    segmenter = models.create("swiftnet", 3)
    lora.adapt(segmenter, LoraPlan(rank=8, alpha=16.0, decoder=True))
    changes = [module for module in segmenter.modules() if isinstance(module, lora.LowRank)]
    assert {len(change.first) for change in changes} > {1, 8}
    for change in changes:
        assert change.scale * len(change.first) == 16.0


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("decoder", [True, False])
def test_only_changes_vectors_and_last_layers_are_trained(backbone: str, decoder: bool) -> None:
    segmenter = network(backbone)
    images = torch.rand(2, 3, 64, 64)
    segmenter.eval()
    before = segmenter(images).detach()
    lora.adapt(segmenter, LoraPlan(rank=4, decoder=decoder))
    torch.testing.assert_close(segmenter(images), before, rtol=1e-5, atol=1e-6)
    for name, weight in segmenter.named_parameters():
        adapted = name.startswith("backbone.") or (decoder and name.startswith("decoder."))
        added = name.endswith((".first", ".second"))
        assert weight.requires_grad == (added or weight.ndim <= 1 or not adapted), name
    shake(segmenter)
    segmenter.train()(images).square().mean().backward()
    for name, weight in segmenter.named_parameters():
        assert (weight.grad is not None) == weight.requires_grad, name
    share = lora.trained_share(segmenter)
    assert share.whole == weights_of(network(backbone))
    assert share.trained == sum(weight.numel() for weight in segmenter.parameters() if weight.requires_grad)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_merged_it_answers_alike_and_nothing_tells_of_it(backbone: str, tmp_path: Path) -> None:
    segmenter = network(backbone)
    lora.adapt(segmenter, LoraPlan(rank=4, decoder=True))
    shake(segmenter)
    segmenter.eval()
    images = torch.rand(1, 3, 65, 70)
    before = segmenter(images).detach()
    lora.merge(segmenter)
    assert not any(isinstance(module, lora.LowRank) for module in segmenter.modules())
    torch.testing.assert_close(segmenter(images), before, rtol=1e-5, atol=1e-5)
    options = OPTIONS if backbone == "compact" else {}
    card = bundle.Card(
        model=ModelPlan(backbone=backbone, options={"width": 8, **options}),
        classes=bundle.CardClasses.of(Classes.named(["a", "b", "c"])),
        data=DataPlan(),
    )
    bundle.save(tmp_path / "m.safetensors", segmenter, card)
    assert load_file(tmp_path / "m.safetensors").keys() == network(backbone).state_dict().keys()
    torch.testing.assert_close(bundle.load(tmp_path / "m.safetensors")[0](images), before, rtol=1e-5, atol=1e-5)


def test_our_default_trains_less_than_a_twentieth_at_rank_eight() -> None:
    segmenter = models.create("swiftnet", 2)
    lora.adapt(segmenter, LoraPlan(rank=8, decoder=True))
    share = lora.trained_share(segmenter)
    assert share.trained < 0.05 * share.whole
    assert str(share).endswith("parameters (4.4%)")


def test_bfloat16_does_not_blur_the_change() -> None:
    layer = nn.Conv2d(32, 32, 3)
    change = lora.LowRank(layer.weight, 1, 1.0)
    nn.init.normal_(change.second)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(change(layer.weight), change.forward(layer.weight))
        assert change(layer.weight).dtype == torch.float32
        inside = change(layer.weight)
    assert torch.equal(inside, change(layer.weight))


def test_rank_zero_changes_nothing_and_no_layer_is_an_error() -> None:
    segmenter = network("compact")
    lora.adapt(segmenter, LoraPlan())
    assert lora.trained_share(segmenter).trained == lora.trained_share(segmenter).whole
    segmenter.backbone = nn.BatchNorm2d(3)  # type: ignore[assignment]
    with pytest.raises(MaskwrightError, match=r"lora.rank is 2, but the backbone has no linear .* set lora.rank=0"):
        lora.adapt(segmenter, LoraPlan(rank=2))
