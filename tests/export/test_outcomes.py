"""What is compared of networks of boxes: the same boxes each time."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from maskwright.core.channels import object_channels
from maskwright.core.errors import MaskwrightError
from maskwright.exporting import outcomes, sensitivity
from maskwright.exporting.formats import Exporter
from maskwright.exporting.outcomes import outcome
from maskwright.models.build import create

if TYPE_CHECKING:
    from torch import Tensor

TOY = {"widths": (8, 8, 16, 16), "depths": (1, 1, 1, 1), "width": 16}
GROUPS = object_channels(3)
TILE = np.random.default_rng(0).integers(0, 256, (1, 64, 96, 3), np.uint8)


class Pixels:
    """What `Graph` is for a network of objects, without its suppression, which no outcome needs."""

    def __init__(self, segmenter: Any) -> None:
        self.segmenter, self.reading = segmenter, segmenter.reading

    def normalised(self, image: Tensor) -> Tensor:
        return image.permute(0, 3, 1, 2).float() / 255


@pytest.fixture
def regions() -> Pixels:
    torch.manual_seed(0)
    return Pixels(create("maskrcnn", GROUPS, **TOY, anchor=4.0, most=10).eval())


def changed(network: Any, place: str) -> None:
    """Exchange the sign of the weights of a layer."""
    network.segmenter.get_submodule(place).weight.data.neg_()


@torch.no_grad()
def test_the_boxes_of_the_first_run_are_classified_and_drawn_again(regions: Pixels) -> None:
    run = outcome(regions, TILE, GROUPS)  # type: ignore[arg-type]
    objectness, shifts, classes, corrections, masks = before = run()
    assert objectness.shape[0] == shifts.shape[0] == 1
    assert len(classes) == len(corrections) == len(masks) == outcomes.BOXES
    assert classes.sum(1).allclose(torch.ones(outcomes.BOXES))
    for other in (objectness, masks):
        assert ((other >= 0) & (other <= 1)).all()
    for first, second in zip(before, run(), strict=True):
        torch.testing.assert_close(first, second, rtol=0, atol=0)

    changed(regions, "head.rpn.head.cls_logits")  # other boxes are proposed now
    objectness, *rest = run()
    assert not torch.equal(objectness, before[0])
    for first, second in zip(before[1:], rest, strict=True):
        torch.testing.assert_close(first, second, rtol=0, atol=0)
    fresh = outcome(regions, TILE, GROUPS)()  # type: ignore[arg-type]
    assert not torch.equal(fresh[4], before[4])


@torch.no_grad()
@pytest.mark.parametrize(
    ("place", "affected"),
    [
        ("head.rpn.head.bbox_pred", [1]),
        ("head.regions.box_predictor.cls_score", [2]),
        ("head.regions.box_predictor.bbox_pred", [3]),
        ("head.regions.mask_predictor.mask_fcn_logits", [4]),
    ],
)
def test_each_head_is_compared(regions: Pixels, place: str, affected: list[int]) -> None:
    run = outcome(regions, TILE, GROUPS)  # type: ignore[arg-type]
    before = run()
    changed(regions, place)
    after = run()
    assert [at for at in range(5) if not torch.equal(before[at], after[at])] == affected


def test_parts_of_networks_of_boxes_are_measured(regions: Pixels) -> None:
    found = sensitivity.measured(regions.segmenter, [outcome(regions, TILE, GROUPS)])  # type: ignore[arg-type]
    assert "head.regions.mask_predictor" in {part.module for part in found}
    assert all(np.isfinite(part.error) and part.cost > 0 for part in found)
    assert sum(part.error for part in found) > 0


def test_masked_attention_is_not_for_int8() -> None:
    network = create("mask2former", GROUPS, **TOY, heads=4, layers=(1, 2), queries=5)
    card = SimpleNamespace(model=SimpleNamespace(name="mask2former"))
    with pytest.raises(MaskwrightError, match=r"mask2former masks its attention with minus infinity.*without int8"):
        Exporter(network, card).check_int8()  # type: ignore[arg-type]
