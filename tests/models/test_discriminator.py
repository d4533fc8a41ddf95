from __future__ import annotations

import pytest
import torch

from maskwright.models.discriminator import NETWORKS, Discriminator, window

# Luc et al. 2016 (Pascal VOC): fields of view of 34x34 and 18x18 positions of the label map.
WINDOWS = {"large-fov": 34, "large-fov-light": 34, "small-fov": 18, "small-fov-light": 18}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_window_is_the_papers_and_no_pixel_more(name: str) -> None:
    """By the gradient of one verdict in the middle of a map: what it depends on is a square of that side."""
    assert window(name) == WINDOWS[name]
    torch.manual_seed(0)
    network = Discriminator(name, 2, 3, 12, "labels").double()
    for layer in network.layers:
        if isinstance(layer, torch.nn.Conv2d):
            torch.nn.init.uniform_(layer.weight, 0.1, 1.0)  # so that no path is dead or cancelled
    maps = torch.rand(1, 2, 80, 80, dtype=torch.float64)
    # A maximum hands its gradient to one pixel of four: over many maps each of them is hit.
    seen = torch.zeros(80, 80)
    for _ in range(8):
        maps = torch.rand(1, 2, 80, 80, dtype=torch.float64, requires_grad=True)
        network(maps, maps)[0, 0, 10, 10].backward()
        seen += maps.grad.abs().sum((0, 1)).float()
    rows, columns = (seen.sum(axis).nonzero().flatten() for axis in (1, 0))
    for places in (rows, columns):
        assert int(places.max() - places.min()) + 1 == WINDOWS[name]


def test_parameters_are_those_of_the_papers_layers() -> None:
    """Large-FOV on the 21 classes of VOC, by hand; one verdict instead of two."""
    by_hand = sum(
        inputs * outputs * 9 + outputs
        for inputs, outputs in [(21, 96), (96, 128), (128, 128), (128, 256), (256, 256), (256, 512), (512, 1)]
    )
    network = Discriminator("large-fov", 21, 3, 96, "labels")
    assert sum(weight.numel() for weight in network.parameters()) == by_hand == 2_346_561


@pytest.mark.parametrize("shown", ["labels", "product", "image"])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 9), (16, 17)])
def test_every_block_of_four_gets_a_verdict_and_every_weight_a_gradient(shown: str, height: int, width: int) -> None:
    torch.manual_seed(0)
    network = Discriminator("large-fov-light", 3, 2, 12, shown)
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
