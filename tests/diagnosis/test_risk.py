"""Expected overlap against numbers worked out by hand, and against truths drawn from the probabilities."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from maskwright.core.channels import class_channels, edge_channel, object_channels
from maskwright.core.instances import Instance, Instances
from maskwright.diagnosis.risk import FEW_PIXELS, Promise, image_risk, object_risks, objects_of
from maskwright.tasks import Block


def _block(maps, top=0):
    maps = torch.tensor(np.array(maps), dtype=torch.float32)
    return Block(slice(top, top + maps.shape[1]), slice(0, maps.shape[2]), maps)


def test_the_expected_overlap_of_four_pixels_as_worked_out_by_hand():
    promise = Promise(class_channels(2))
    promise.add(_block([[[0.9, 0.8, 0.3, 0.4]], [[0.1, 0.2, 0.7, 0.6]]]))
    # Class 0 gets the first two pixels: intersection .9 + .8, union 2 + (.3 + .4) = 2.7; class 1: 1.3 of 2 + .3.
    np.testing.assert_allclose(promise.iou, [1.7 / 2.7, 1.3 / 2.3], rtol=1e-6)
    np.testing.assert_allclose(promise.dice, [2 * 1.7 / 4.4, 2 * 1.3 / 3.6], rtol=1e-6)
    there = [1 - math.exp(-share / FEW_PIXELS) for share in (2.4 / 4, 1.6 / 4)]
    mean = (there[0] * 1.7 / 2.7 + there[1] * 1.3 / 2.3) / sum(there)
    assert promise.risk == pytest.approx(1 - mean, rel=1e-6)


def test_a_class_that_hardly_shows_hardly_counts():
    certain = np.array([[[1.0] * 1000], [[0.0] * 1000]])
    certain[:, 0, 0] = (0.99, 0.01)  # one thousandth of a pixel in a thousand: there with probability 1/200
    promise = Promise(class_channels(2))
    promise.add(_block(certain))
    assert promise.risk == pytest.approx(0.005, abs=0.001)


def test_one_class_is_compared_with_everything_else():
    one, two = Promise(class_channels(1)), Promise(class_channels(2))
    one.add(_block([[[0.9, 0.2]]]))
    two.add(_block([[[0.9, 0.2]], [[0.1, 0.8]]]))
    assert one.risk == pytest.approx(two.risk)


def test_pixels_without_data_do_not_count():
    whole, part = Promise(class_channels(2)), Promise(class_channels(2))
    whole.add(_block([[[0.9, math.nan]], [[0.1, math.nan]]]))
    part.add(_block([[[0.9]], [[0.1]]]))
    assert whole.risk == pytest.approx(part.risk)


def test_edges_count_by_their_own_probability():
    edges = Promise((edge_channel(),))
    edges.add(_block([[[0.5, 1.0]]]))
    assert edges.risk == pytest.approx(1 - 1.25 / 1.5)


def test_objects_count_by_their_mean_score_and_without_any_the_maps_speak():
    promise, mask = Promise(class_channels(2)), np.ones((2, 2), bool)
    promise.add(_block([[[0.9, 0.2]], [[0.1, 0.8]]]))
    found = Instances((4, 4), (Instance(1, 0, 0, mask, 0.8), Instance(1, 2, 2, mask, 0.4)))
    assert image_risk(promise, found) == pytest.approx(0.4)
    assert image_risk(promise, Instances((4, 4))) == promise.risk
    nothing = Promise(object_channels(2))
    nothing.add(_block(np.zeros((0, 4, 4))))
    assert image_risk(nothing, found) == pytest.approx(0.4)
    assert image_risk(nothing, Instances((4, 4))) is None


@given(st.integers(0, 10_000), st.integers(1, 5))
def test_blocks_add_up_to_the_whole_image(seed, cut):
    maps = np.random.default_rng(seed).dirichlet((0.4, 0.7, 1.0), (6, 7)).transpose(2, 0, 1)
    whole, parts = Promise(class_channels(3)), Promise(class_channels(3))
    whole.add(_block(maps))
    parts.add(_block(maps[:, :cut]))
    parts.add(_block(maps[:, cut:], top=cut))
    np.testing.assert_allclose(whole.iou, parts.iou)
    assert whole.risk == pytest.approx(parts.risk)
    assert 0 <= whole.risk <= 1


def test_it_is_the_overlap_with_truths_that_the_probabilities_describe():
    rng = np.random.default_rng(0)
    shares = rng.dirichlet((0.5, 0.5, 0.3), 4000)
    promise = Promise(class_channels(3))
    promise.add(_block(shares.T.reshape(3, 40, 100)))
    truth = (rng.random(4000)[:, None] > np.cumsum(shares, 1)).sum(1)
    said = shares.argmax(1)
    for index in range(3):
        overlap = ((said == index) & (truth == index)).sum() / ((said == index) | (truth == index)).sum()
        assert promise.iou[index] == pytest.approx(overlap, abs=0.03)


def test_the_quality_of_an_object_is_its_overlap_with_the_truth_and_crowds_do_not_count():
    square = np.ones((2, 2), bool)
    truth = Instances(
        (4, 8), (Instance(1, 0, 0, np.ones((2, 3), bool)), Instance(1, 0, 6, np.ones((2, 2), bool), crowd=True))
    )
    found = Instances(
        (4, 8), (Instance(1, 0, 0, square, 0.9), Instance(1, 2, 4, square, 0.6), Instance(1, 0, 6, square, 0.5))
    )
    np.testing.assert_allclose(object_risks(found, truth), [[0.1, 4 / 6], [0.4, 0.0]])
    assert object_risks(Instances((4, 8)), truth).shape == (0, 2)
    assert objects_of(found) is found
    assert objects_of("no objects") is None
