from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from pydantic import ValidationError
from tests.models.references import weights_of

from maskwright.core.plan import AdversarialPlan
from maskwright.models.discriminator import NETWORKS, Discriminator

if TYPE_CHECKING:
    from maskwright.core.plan import DiscriminatorInput, DiscriminatorName

# Luc et al. 2016 (Pascal VOC): fields of view of 34x34 and 18x18 positions of the label map. That of two branches
# follows from its layers: 5 and 3 at stride 1, 3 at 2, twice 3 at 4, and two poolings.
WINDOWS = {"large-fov": 34, "large-fov-light": 34, "small-fov": 18, "small-fov-light": 18, "two-branch": 30}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_window_is_the_papers_and_no_pixel_more(name: DiscriminatorName) -> None:
    """By the gradient of one verdict in the middle of a map: what it depends on is a square of that side."""
    torch.manual_seed(0)
    network = Discriminator(name, 2, 3, 12, "labels").double()
    for layer in network.modules():
        if isinstance(layer, torch.nn.Conv2d):
            torch.nn.init.uniform_(layer.weight, 0.1, 1.0)  # so that no path is dead or cancelled
    maps = torch.rand(1, 2, 80, 80, dtype=torch.float64)
    # A maximum hands its gradient to one pixel of four: over many maps each of them is hit.
    seen = torch.zeros(80, 80)
    for _ in range(8):
        maps = torch.rand(1, 2, 80, 80, dtype=torch.float64, requires_grad=True)
        network(maps, torch.zeros(1, 3, 80, 80).double())[0, 0, 10, 10].backward()
        seen += maps.grad.abs().sum((0, 1)).float()
    rows, columns = (seen.sum(axis).nonzero().flatten() for axis in (1, 0))
    for places in (rows, columns):
        assert int(places.max() - places.min()) + 1 == WINDOWS[name]


LARGE = [(9, 21, 96), (9, 96, 128), (9, 128, 128), (9, 128, 256), (9, 256, 256), (9, 256, 512), (9, 512, 1)]
BRANCHES = [(25, 8, 64), (25, 3, 16), (25, 16, 64), (9, 128, 128), (9, 128, 256), (9, 256, 512), (9, 512, 1)]


@pytest.mark.parametrize(
    ("name", "classes", "layers", "total"),
    [("large-fov", 21, LARGE, 2_346_561), ("two-branch", 8, BRANCHES, 1_667_265)],
)
def test_parameters_are_those_of_the_papers_layers(
    name: DiscriminatorName, classes: int, layers: list[tuple[int, int, int]], total: int
) -> None:
    """On the 21 classes of VOC and the 8 of Stanford Background, by hand; one verdict instead of two."""
    by_hand = sum(taps * inputs * outputs + outputs for taps, inputs, outputs in layers)
    network = Discriminator(name, classes, 3, 96, "labels")
    assert weights_of(network) == by_hand == total


@pytest.mark.parametrize(
    ("name", "shown"), [("large-fov-light", "labels"), ("large-fov-light", "product"), ("two-branch", "labels")]
)
@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 9), (16, 17)])
def test_every_block_of_four_gets_a_verdict_and_every_weight_a_gradient(
    name: DiscriminatorName, shown: DiscriminatorInput, height: int, width: int
) -> None:
    torch.manual_seed(0)
    network = Discriminator(name, 3, 2, 12, shown)
    verdicts = network(torch.rand(2, 3, height, width), torch.rand(2, 2, height, width))
    assert verdicts.shape == (2, 1, -(-height // 4), -(-width // 4))
    verdicts.sum().backward()
    assert all(weight.grad is not None for weight in network.parameters())


def test_the_product_shows_each_label_under_each_image_channel() -> None:
    network = Discriminator("small-fov", 2, 3, 4, "product")
    labels, images = torch.rand(1, 2, 4, 4), torch.rand(1, 3, 4, 4)
    seen: list[torch.Tensor] = []
    network.layers.register_forward_pre_hook(lambda _layer, given: seen.append(given[0]))
    network(labels, images)
    assert torch.equal(seen[0][0, 4], labels[0, 1] * images[0, 1])


def test_two_branches_see_the_image_as_it_is_and_no_product() -> None:
    network = Discriminator("two-branch", 3, 2, 12, "labels")
    labels, images = torch.rand(1, 3, 8, 8), torch.rand(1, 2, 8, 8)
    assert not torch.equal(network(labels, images), network(labels, 1 - images))
    with pytest.raises(ValidationError, match=r"adversarial\.input is product, but the network two-branch already has"):
        AdversarialPlan(network="two-branch", input="product")
