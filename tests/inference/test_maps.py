"""Maps of several groups: each has its own activation, and vectors turn with the image and grow with it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from maskwright.core.channels import Channels, class_channels
from maskwright.core.classes import Classes
from maskwright.core.plan import DataPlan, ModelPlan, PredictPlan
from maskwright.inference import Predictor
from maskwright.inference.maps import activated, flipped, rescaled
from maskwright.models.bundle import Card, CardClasses

GROUPS = (
    Channels(name="foreground", count=2, activation="sigmoid"),
    Channels(name="offset", count=2, activation="none", vector=True),
    *class_channels(3),
)
ONE_GROUP = (
    class_channels(4),
    class_channels(1),
    (Channels(name="heat", count=3, activation="sigmoid"),),
    (Channels(name="height", count=2, activation="none"),),
)


def raw(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def test_each_group_has_its_own_activation() -> None:
    maps = raw(2, 7, 3, 4)
    found = activated(maps, GROUPS)
    assert torch.equal(found[:, :2], maps[:, :2].sigmoid())
    assert torch.equal(found[:, 2:4], maps[:, 2:4])
    assert torch.equal(found[:, 4:], maps[:, 4:].softmax(1))


def test_activations_by_hand() -> None:
    maps = torch.tensor([math.log(3), 0.0, -7.0, 7.0, 0.0, math.log(2), 0.0])[None, :, None, None]
    expected = [0.75, 0.5, -7.0, 7.0, 0.25, 0.5, 0.25]
    assert activated(maps, GROUPS).flatten().tolist() == pytest.approx(expected)


@pytest.mark.parametrize("groups", [GROUPS, *ONE_GROUP])
def test_the_network_s_own_maps_are_never_changed(groups: tuple[Channels, ...]) -> None:
    maps = raw(1, sum(group.count for group in groups), 2, 3)
    before = maps.clone()
    activated(maps, groups).zero_()
    flipped(maps, groups).zero_()
    assert torch.equal(maps, before)


def test_a_flip_turns_the_x_of_a_vector_and_nothing_else() -> None:
    maps = raw(2, 7, 3, 4)
    found = flipped(maps, GROUPS)
    mirror = maps[..., [3, 2, 1, 0]]
    assert torch.equal(found[:, 2], -mirror[:, 2])
    others = [0, 1, 3, 4, 5, 6]
    assert torch.equal(found[:, others], mirror[:, others])
    assert torch.equal(flipped(found, GROUPS), maps)


def test_vectors_grow_with_the_image_along_each_axis() -> None:
    maps = raw(7, 3, 4)
    before = maps.clone()
    found = rescaled(maps, GROUPS, working=(30, 40), size=(60, 120))
    assert found is maps
    torch.testing.assert_close(found[2], 3 * before[2])
    torch.testing.assert_close(found[3], 2 * before[3])
    others = [0, 1, 4, 5, 6]
    assert torch.equal(found[others], before[others])
    at_its_own_size = found.clone()
    assert torch.equal(rescaled(found, GROUPS, (60, 120), (60, 120)), at_its_own_size)


class Towards:
    """An engine that says how far each pixel is from the brightest column, and how bright it is."""

    device, batch = torch.device("cpu"), 1

    def forward(self, tiles: np.ndarray) -> torch.Tensor:
        pixels = torch.from_numpy(tiles).float()[..., 0]
        columns = torch.arange(pixels.shape[2], dtype=torch.float32)
        to_peak = pixels.mean(1).argmax(1)[:, None, None] - columns.expand_as(pixels)
        logits = torch.stack([pixels / 50, -pixels / 50], 1)
        return torch.cat([to_peak[:, None], torch.ones_like(to_peak)[:, None], logits], 1)


def predictor(
    scale: float = 1.0, *, flip: bool = False, flip_scale: float = 1.0, scales: tuple[float, ...] = ()
) -> Predictor:
    groups = (Channels(name="offset", count=2, activation="none", vector=True), *class_channels(2))
    card = Card(
        model=ModelPlan(),
        classes=CardClasses.of(Classes.named(["bright", "dark"])),
        channels=groups,
        data=DataPlan(scale=scale),
        predict=PredictPlan(tile=(64, 64), flip=flip, flip_scale=flip_scale, scales=scales),
    )
    # The task's own adjustment is of class probabilities alone; these maps need none.
    return Predictor(Towards(), card)


def striped(width: int = 48, peak: int = 10) -> np.ndarray:
    image = np.zeros((32, width, 3), np.uint8)
    image[:, peak : peak + 4] = 200
    return image


@pytest.mark.parametrize("flip", [False, True])
def test_offsets_survive_the_mirror_image(flip: bool) -> None:
    """A mirrored prediction points to the other end of the four bright columns: 10 and, mirrored, 13."""
    found = predictor(flip=flip).maps(striped())
    columns = np.arange(48, dtype=np.float32)
    np.testing.assert_allclose(found[0], np.broadcast_to((11.5 if flip else 10) - columns, (32, 48)), atol=1e-4)
    np.testing.assert_allclose(found[1], 1)
    np.testing.assert_allclose(found[2:].sum(0), 1, atol=1e-6)


def test_the_flipped_image_may_be_smaller() -> None:
    """At half the size its vectors are half as long, and the four bright columns are two: 10.5 is the middle of one."""
    found = predictor(flip=True, flip_scale=0.5).maps(striped())
    inside = slice(2, 46)
    ends = found[0] + np.arange(48)
    np.testing.assert_allclose(ends[:, inside], (10 + 12.5) / 2, atol=1e-4)
    np.testing.assert_allclose(found[1], (1 + 2) / 2, atol=1e-6)
    np.testing.assert_allclose(found[2:].sum(0), 1, atol=1e-6)


def test_further_sizes_are_averaged_with_the_image_and_the_flipped_one() -> None:
    """At half the size the first two of four bright columns are one, at 10.5; mirrored, the first is 13."""
    model = predictor(flip=True, scales=(0.5,))
    inside = slice(2, 46)
    for found, end, second in (
        (model.maps(striped()), (10 + 13 + 10.5) / 3, (1 + 1 + 2) / 3),
        (predictor(scales=(0.5,)).maps(striped()), (10 + 10.5) / 2, (1 + 2) / 2),
        (model.with_flip(flip=False).maps(striped()), 10, 1),
    ):
        np.testing.assert_allclose((found[0] + np.arange(48))[:, inside], end, atol=1e-4)
        np.testing.assert_allclose(found[1], second, atol=1e-6)
        np.testing.assert_allclose(found[2:].sum(0), 1, atol=1e-6)


def test_offsets_are_pixels_of_the_image() -> None:
    """At half the size, a network's vector of 5 pixels is one of 10; interpolated, it still leads to the same place."""
    found = predictor(scale=0.5).maps(striped())
    inside = slice(2, 46)
    ends = found[0] + np.arange(48)
    np.testing.assert_allclose(ends[:, inside], 10.5, atol=1e-4)  # the middle of the pixels 10 and 11 that became one
    np.testing.assert_allclose(found[1], 2, atol=1e-6)
