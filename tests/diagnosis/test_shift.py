"""Distances of images from the training images, and their p-values, on features drawn here."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskwright.core.errors import MaskwrightError
from maskwright.diagnosis.shift import Reference, folder_chance


def _drawn(number: int, seed: int, away: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(number, 24)) * np.linspace(0.1, 3, 24) + away


REFERENCE = Reference.of(_drawn(120, 0), [None] * 120)


def test_a_distance_is_the_mean_one_to_the_two_nearest_in_units_of_the_scale():
    reference = Reference(
        mean=np.array([1.0, 0.0]),
        scale=np.array([2.0, 1.0]),
        points=np.array([[0.0, 0.0], [3.0, 4.0], [0.0, 10.0]]),
        null=np.array([0.5, 1.0, 2.0, 8.0]),
        groups=np.arange(4.0),
    )
    features = np.array([[1.0, 0.0], [7.0, 4.0]])  # at (0, 0) and (3, 4) in units of the scale
    np.testing.assert_allclose(reference.distances(features), [2.5, 2.5])
    np.testing.assert_allclose(reference.chances(np.array([0.1, 1.0, 5.0, 9.0])), [1.0, 4 / 5, 2 / 5, 1 / 5])


def test_images_of_the_same_kind_are_flagged_as_often_as_promised():
    chances = REFERENCE.chances(REFERENCE.distances(_drawn(400, 1)))
    assert (chances <= 0.05).mean() == pytest.approx(0.05, abs=0.04)
    assert folder_chance(REFERENCE, REFERENCE.distances(_drawn(40, 2)), [None] * 40) > 0.05


def test_other_images_are_flagged_and_so_is_their_folder():
    distances = REFERENCE.distances(_drawn(40, 1, away=4.0))
    assert (REFERENCE.chances(distances) <= 0.05).all()
    assert folder_chance(REFERENCE, distances, [None] * 40) < 0.01


def test_other_groups_of_the_same_kind_are_nothing_unusual():
    """Images of one patient are alike; each alone is far from another patient, as the null knows from its groups."""
    rng = np.random.default_rng(3)
    centres = rng.normal(size=(24, 24)) * 3
    features = np.repeat(centres, 8, axis=0) + rng.normal(size=(192, 24)) * 0.3
    names = [f"patient {place // 8}" for place in range(192)]
    train, test = slice(0, 128), slice(128, 192)
    by_group = Reference.of(features[train], names[train])
    assert (by_group.chances(by_group.distances(features[test])) <= 0.05).mean() < 0.2
    alone = Reference.of(features[train], [None] * 128)
    assert (alone.chances(alone.distances(features[test])) <= 0.05).mean() > 0.9
    assert folder_chance(by_group, by_group.distances(features[test]), names[test]) > 0.05


def test_a_single_group_is_compared_image_by_image():
    reference = Reference.of(_drawn(60, 0), ["film"] * 60)
    assert (reference.null > 0).all()


@given(st.lists(st.floats(0, 10), min_size=1, max_size=20))
def test_a_p_value_falls_with_the_distance_and_is_never_zero(distances):
    chances = REFERENCE.chances(np.sort(np.array(distances)))
    assert (np.diff(chances) <= 0).all()
    assert ((chances > 0) & (chances <= 1)).all()


def test_a_reference_is_read_back_and_another_model_has_none(tmp_path):
    file = tmp_path / "shift.safetensors"
    assert Reference.load(file, "abc") is None
    REFERENCE.save(file, "abc")
    again = Reference.load(file, "abc")
    assert again is not None
    np.testing.assert_allclose(again.distances(_drawn(5, 7)), REFERENCE.distances(_drawn(5, 7)), rtol=1e-4)
    assert Reference.load(file, "other") is None
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(MaskwrightError, match=r"is damaged .* diagnose the model again"):
        Reference.load(file, "abc")
