"""Explanations on a network whose cause is known by construction: a patch elsewhere decides the class of a disc."""

from __future__ import annotations

import time

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from maskwright.core.classes import Classes
from maskwright.core.plan import DataPlan, ModelPlan, PredictPlan
from maskwright.core.seeds import generator
from maskwright.diagnosis import cam, occlusion
from maskwright.diagnosis.heat import heat
from maskwright.diagnosis.receptive_field import radius, receptive_field
from maskwright.diagnosis.region import Region, low_pass, plain, region_at, removed, window
from maskwright.inference.predictor import Predictor
from maskwright.models.backbones.base import Backbone
from maskwright.models.bundle import Card, CardClasses
from maskwright.models.segmenter import Decoder, Segmenter

pytestmark = pytest.mark.usefixtures("one_thread")
SIDE, STRIDE = 64, 4
PATCH = (slice(8, 24), slice(40, 56))
DISC = (44, 18)


class Means(Backbone):
    """One level: the mean of red, and of green, over cells of four pixels."""

    def __init__(self) -> None:
        super().__init__(3, (2,), (STRIDE,))
        self.mix = nn.Conv2d(3, 2, STRIDE, STRIDE, bias=False)
        with torch.no_grad():
            self.mix.weight.zero_()
            for channel in range(2):
                self.mix.weight[channel, channel] = 1 / STRIDE**2

    def forward(self, x: Tensor) -> list[Tensor]:
        return [self.mix(x)]


class ByRed(Decoder):
    """Green cells are objects; how much red there is in the whole image tells which of two classes."""

    def __init__(self) -> None:
        super().__init__(3, STRIDE)

    def forward(self, features: list[Tensor]) -> Tensor:
        red, green = features[0][:, :1].relu(), features[0][:, 1:]
        told = 40 * (red.mean((2, 3), keepdim=True) - 0.03) * torch.ones_like(green)
        thing = 10 * (green - 0.5)
        return torch.cat([-thing, thing + told, thing - told], 1)


@pytest.fixture
def predictor() -> Predictor:
    network = Segmenter(Means(), ByRed(), nn.Identity(), 3)  # type: ignore[arg-type]
    card = Card(
        model=ModelPlan(),
        classes=CardClasses.of(Classes.named(["background", "with", "without"])),
        data=DataPlan(mean=[0.0] * 3, std=[255.0] * 3),
        predict=PredictPlan(tile=(SIDE, SIDE), flip=False),
    )
    return Predictor.of(network, card, "cpu")


@pytest.fixture
def image() -> np.ndarray:
    pixels = np.zeros((SIDE, SIDE, 3), np.uint8)
    pixels[*PATCH, 0] = 255
    cv2.circle(pixels, DISC[::-1], 9, (0, 255, 0), -1)
    return pixels


@pytest.fixture
def region(predictor: Predictor, image: np.ndarray) -> Region:
    return region_at(predictor, image, DISC[1], DISC[0])


def test_the_region_is_the_disc_with_its_class(region: Region, image: np.ndarray) -> None:
    assert region.index == 1
    disc = image[..., 1] > 0
    assert (region.mask & disc).sum() / (region.mask | disc).sum() > 0.85
    assert region.base > 0.85


def in_patch(values: np.ndarray) -> bool:
    row, column = np.unravel_index(values.argmax(), values.shape)
    return PATCH[0].start <= row < PATCH[0].stop and PATCH[1].start <= column < PATCH[1].stop


@pytest.mark.parametrize("name", ["Seg-Grad-CAM", "HiResCAM"])
def test_activation_points_at_the_cause_and_not_at_the_disc(region: Region, name: str) -> None:
    network = cam.open_network(region.predictor)
    assert network is not None
    values = cam.class_activation(region, network)[name]
    assert values.shape == (SIDE, SIDE)
    assert in_patch(values)
    assert values[DISC] < 0.1 * values.max()


def test_occlusion_finds_the_patch_and_the_disc(region: Region) -> None:
    found = occlusion.patches(region, 4)
    assert len(found) == 16
    losses = {(patch.rows.start // 16, patch.columns.start // 16): patch for patch in found}
    assert losses[0, 2].lost > 0.1
    assert losses[3, 3].lost == pytest.approx(0, abs=1e-4)
    assert occlusion.occlusion_map(region.size, found)[7, 39] == pytest.approx(losses[0, 2].lost, rel=0.15)


def test_overlapping_patches_cover_a_cause_of_their_size(region: Region) -> None:
    found = occlusion.patches(region, 3, twice=True)
    assert len(found) == 25
    assert max(patch.lost for patch in found) > 0.5
    assert in_patch(np.where(region.mask, -np.inf, occlusion.occlusion_map(region.size, found)))


def test_rise_marks_the_patch_more_than_the_rest(region: Region) -> None:
    values = occlusion.rise(region, 300, np.random.default_rng(0), time.monotonic() + 60)
    assert values is not None
    elsewhere = ~region.mask
    elsewhere[PATCH] = False
    assert values[PATCH].mean() > 0.05
    assert abs(values[elsewhere].mean()) < 0.5 * values[PATCH].mean()


def test_rise_without_time_gives_nothing(region: Region) -> None:
    assert occlusion.rise(region, 10, np.random.default_rng(0), time.monotonic() - 1) is None


def test_deletion_passes_the_cause_and_refuses_a_corner(region: Region) -> None:
    random = occlusion.random_losses(region, generator(0, "test"))
    right, wrong = np.zeros((2, SIDE, SIDE), np.float32)
    right[PATCH] = 1
    wrong[-8:, -8:] = 1
    assert occlusion.deletion(region, right, random).passed
    refused = occlusion.deletion(region, wrong, random)
    assert not refused.passed
    assert refused.lost < 0.1


def test_chance_of_the_deletion_test_by_hand(region: Region) -> None:
    random = np.array([0.0] * 18 + [1.0])
    values = np.zeros((SIDE, SIDE), np.float32)
    values[PATCH] = 1
    found = occlusion.deletion(region, values, random)
    assert found.chance == pytest.approx(2 / 20)
    assert found.excess == pytest.approx(found.lost - 1 / 19)


@pytest.mark.parametrize(("excess", "chance", "passed"), [(0.06, 0.05, True), (0.04, 0.05, False), (0.06, 0.1, False)])
def test_a_map_passes_only_if_it_is_certain_and_matters(excess: float, chance: float, passed: bool) -> None:
    assert occlusion.Deletion(excess, 0, excess, excess, excess, chance).passed == passed


def test_scrambling_moves_weights_and_leaves_the_network_alone(predictor: Predictor) -> None:
    before = {name: weight.clone() for name, weight in predictor.engine.segmenter.state_dict().items()}  # type: ignore[attr-defined]
    other = cam.scrambled(predictor, 0)
    for name, weight in other.engine.segmenter.state_dict().items():  # type: ignore[attr-defined]
        assert torch.equal(weight.flatten().sort().values, before[name].flatten().sort().values)
        assert not torch.equal(weight, before[name])
        assert torch.equal(predictor.engine.segmenter.state_dict()[name], before[name])  # type: ignore[attr-defined]


def test_similarity_is_that_of_ranks() -> None:
    values = np.arange(256, dtype=np.float32).reshape(16, 16)
    assert cam.similarity(values, values**3) == pytest.approx(1)
    assert cam.similarity(values, -values) == pytest.approx(-1)
    assert cam.similarity(values, np.zeros_like(values)) == 0


def test_removing_keeps_type_and_light(image: np.ndarray) -> None:
    gone = np.ones((SIDE, SIDE), np.float32)
    changed = removed(image, gone, low_pass(image))
    assert changed.dtype == image.dtype
    assert abs(float(changed.mean()) - float(image.mean())) < 1.5
    assert changed.std() < image.std()
    np.testing.assert_array_equal(removed(image, 0 * gone, low_pass(image)), image)


def test_a_place_is_filled_with_the_median_colour_and_nothing_of_a_rare_one() -> None:
    image = np.full((10, 10, 2), (7, 90), np.uint16)
    image[:3] = 60000
    assert (removed(image, np.ones((10, 10), np.float32), plain(image)) == (7, 90)).all()


def test_the_window_holds_the_point_and_stays_inside(predictor: Predictor) -> None:
    for x, y in ((0, 0), (199, 99), (100, 50)):
        rows, columns = window(predictor, (100, 200), x, y)
        assert 0 <= rows.start <= y < rows.stop <= 100
        assert 0 <= columns.start <= x < columns.stop <= 200
        assert (rows.stop - rows.start, columns.stop - columns.start) == (SIDE, SIDE)


def test_radius_by_hand() -> None:
    weight, distance = np.array([[1.0, 2.0, 1.0]]), np.array([[0.0, 1.0, 5.0]])
    assert [radius(weight, distance, share) for share in (0.2, 0.5, 0.75, 0.76)] == [0, 1, 1, 5]


def test_the_receptive_field_of_one_cell(predictor: Predictor, image: np.ndarray) -> None:
    """The middle of a grey image depends on green around it, with cells of 4 px and bilinear resizing."""
    network = cam.open_network(predictor)
    assert network is not None
    (field,) = receptive_field(predictor, network, [np.full_like(image, (0, 200, 0))])
    assert field.half <= field.most <= 8
    assert field.side == SIDE


def test_heat_draws_outline_and_patch(region: Region) -> None:
    values = np.zeros((SIDE, SIDE), np.float32)
    values[PATCH] = 1
    drawn = heat(region.image, values, region.mask, PATCH)
    assert drawn.shape == (256, 256, 3)
    colours = {tuple(pixel) for pixel in drawn.reshape(-1, 3).tolist()}
    assert {(255, 255, 255), (213, 94, 0)} <= colours
    warm = drawn[64, 192].astype(int)
    cold = drawn[250, 250].astype(int)
    assert warm[0] > cold[0]
    assert warm[1] > cold[1]
