"""The forest as a network: a tree by hand, any size, the bundle."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
import torch

from maskwright import models
from maskwright.core.classes import Classes
from maskwright.core.errors import MaskwrightError
from maskwright.core.plan import DataPlan, ModelPlan
from maskwright.models import bundle, cost
from maskwright.models.pixels import forest

if TYPE_CHECKING:
    from pathlib import Path

SMALL = {"trees": 2, "leaves": 3, "depth": 2, "sigmas": [1.0]}


def by_hand() -> forest.Forest:
    """Two trees: response 1 above 0.5, then response 0 above -1; and a single leaf."""
    trees = forest.Forest(2, trees=2, leaves=3, depth=2)
    with torch.no_grad():
        trees.features[0, :3] = torch.tensor([1, 0, 0])
        trees.thresholds[0, :2] = torch.tensor([0.5, -1.0])
        trees.branches[0, 0] = torch.tensor([1, 2])
        trees.branches[0, 1] = torch.tensor([3, 4])
        trees.shares[0] = torch.tensor([[9.0, 9.0], [9.0, 9.0], [1.0, 0.0], [0.25, 0.75], [0.0, 1.0]])
        trees.shares[1] = torch.tensor([0.5, 0.5])
    return trees


def test_pixels_go_down_a_tree() -> None:
    pixels = torch.tensor([[0.0, 1.0], [-2.0, 0.5], [-1.0, 0.5], [0.0, 0.0]])
    wanted = torch.tensor([[0.75, 0.25], [0.375, 0.625], [0.375, 0.625], [0.25, 0.75]])
    assert torch.equal(by_hand().label(pixels), wanted)


def test_maps_are_labelled_pixel_by_pixel_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    maps = torch.randn(2, 2, 5, 7, generator=torch.Generator().manual_seed(0))
    trees = by_hand()
    whole = trees([maps])
    assert torch.equal(whole[1, :, 3, 2], trees.label(maps[1, :, 3, 2][None])[0])
    monkeypatch.setattr(forest, "CHUNK", 3)
    assert torch.equal(trees([maps]), whole)


def test_logits_are_logarithms_and_never_infinite() -> None:
    head = forest.Logarithm(2)
    with torch.no_grad():
        head.bias[1] += 3
    logits = head(torch.tensor([1.0, 0.0]).reshape(1, 2, 1, 1)).flatten()
    assert logits.tolist() == pytest.approx([0.0, math.log(forest.LEAST) + 3])


@pytest.mark.parametrize(("channels", "classes", "size"), [(1, 1, (1, 1)), (3, 150, (33, 17)), (7, 2, (2, 40))])
def test_any_size_channels_and_classes(channels: int, classes: int, size: tuple[int, int]) -> None:
    model = models.create("forest", classes, channels, **SMALL).eval()
    logits = model(torch.randn(1, channels, *size))
    assert logits.shape == (1, classes, *size)
    assert torch.allclose(logits.exp(), torch.full_like(logits, 1 / classes)), "before it is grown it knows nothing"


def test_a_bundle_brings_the_same_trees_back(tmp_path: Path) -> None:
    model = models.create("forest", 2, 1, **SMALL).eval()
    model.decoder = by_hand()
    card = bundle.Card(
        model=ModelPlan(name="forest", options=SMALL),
        classes=bundle.CardClasses.of(Classes.named(["ground", "thing"])),
        data=DataPlan(channels=1, mean=[127.5], std=[64.0]),
    )
    bundle.save(tmp_path / "m.safetensors", model, card)
    loaded, read = bundle.load(tmp_path / "m.safetensors")
    assert read.model.backbone == "filters"
    assert read.model.options == SMALL
    image = torch.randn(1, 1, 20, 30, generator=torch.Generator().manual_seed(0))
    assert loaded(image).unique().numel() > 2
    assert torch.equal(loaded(image), model(image))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"trees": 0}, "trees is 0, but must be 1 to 1000"),
        ({"leaves": 1}, "leaves is 1, but must be 2 to 65536"),
        ({"depth": 101}, "depth is 101, but must be 1 to 100"),
        ({"dropout": 0.5}, "dropout is 0.5, and trees have none"),
        ({"backbone": "compact"}, "the last level of the backbone has stride 32, .* which gives filters"),
        ({"aux_levels": [0]}, "forest grows, and no auxiliary head can: leave model.aux_levels out"),
        ({"align_corners": True}, "unknown option of forest with filters 'align_corners'"),
    ],
)
def test_options_outside_their_rule_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(MaskwrightError, match=message):
        models.create("forest", 2, **settings)


def test_its_cost_is_counted() -> None:
    counted = cost.cost_of("forest", classes=2)
    assert counted.parameters == 48 * 511 * (1 + 2) + 2
    assert counted.multiply_adds > 512 * 512 * 1000
