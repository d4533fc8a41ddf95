"""Slices: planted ones are found, chance is not, and the correction for many looks is that of Holm."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from maskwright.diagnosis import slices
from maskwright.diagnosis.slices import _holm as holm
from maskwright.diagnosis.slices import _tested as compared
from maskwright.diagnosis.slices import ends, expected_errors, worst_slices

NAMES = {"brightness": ("dark", "bright")}


def draw(seed: int, images: int = 40) -> tuple[dict[str, np.ndarray], np.ndarray]:
    rng = np.random.default_rng(seed)
    return {"brightness": rng.random(images)}, 0.1 + 0.02 * rng.standard_normal(images)


def test_a_planted_slice_is_certain() -> None:
    facts, errors = draw(0)
    members = ends(facts, NAMES)
    errors[members["dark images"]] += 0.05
    found = worst_slices(members, errors, np.zeros(40), [None] * 40)
    assert found[0].name == "dark images"
    assert found[0].certain
    assert found[0].excess == pytest.approx(found[0].error - found[0].rest)


def test_false_alarms_are_rare() -> None:
    alarms = 0
    for seed in range(60):
        facts, errors = draw(seed)
        found = worst_slices(ends(facts, NAMES), errors, np.zeros(40), [None] * 40, seed)
        alarms += any(entry.certain for entry in found)
    assert alarms <= 6  # 5 % of 60 is 3; more than 6 has a probability of 3 %


def test_an_image_full_of_a_hard_class_is_no_surprise() -> None:
    pixels = np.array([[100, 0], [0, 100], [50, 50], [50, 50]], float)
    wrong = np.array([[0, 0], [0, 40], [0, 20], [0, 20]], float)
    assert expected_errors(pixels, wrong).tolist() == [0, 0.4, 0.2, 0.2]


def test_images_of_one_group_move_together() -> None:
    # Two groups of twenty: a difference between them is one of two possible orders, so nothing tells it from chance.
    groups = ["a"] * 20 + ["b"] * 20
    errors = np.array([0.1] * 20 + [0.2] * 20)
    members = {"images of b": np.arange(40) >= 20}
    (found,) = worst_slices(members, errors, np.zeros(40), groups)
    assert (found.name, found.chance, found.certain) == ("images of b", None, False)
    assert found.excess == pytest.approx(0.1)


def test_what_can_be_told_from_chance_comes_first_and_the_rest_in_the_order_of_single_images() -> None:
    facts, errors = draw(1)
    groups = [f"video {number % 4}" for number in range(40)]
    members = ends(facts, NAMES) | {"first video": np.arange(40) % 4 == 0, "others": np.arange(40) % 4 > 0}
    errors[members["first video"]] += 0.05
    errors[members["dark images"]] += 0.01
    found = worst_slices(members, errors, np.zeros(40), groups)
    assert [entry.name for entry in found if entry.chance is None] == ["first video"]
    assert found[0].name == "dark images"
    assert found[-1].name == "first video"


def test_what_another_slice_explains_is_not_named_again() -> None:
    """Bright images are colourful, too; the second hint is not the same images by another name."""
    facts, errors = draw(4, 60)
    members = ends(facts, NAMES)
    bright = members["bright images"]
    twin = bright.copy()
    twin[np.flatnonzero(bright)[:1]] = False
    other = np.zeros(60, bool)
    other[np.flatnonzero(~bright)[::4]] = True
    errors[bright] += 0.2
    errors[other] += 0.08
    members |= {"colourful images": twin, "blurred images": other}
    found = worst_slices(members, errors, np.zeros(60), [None] * 60)
    assert [entry.name for entry in found[:2]] == ["bright images", "blurred images"]
    assert all(entry.certain for entry in found[:2])
    assert all(entry.name != "colourful images" or not entry.certain for entry in found)


def test_after_an_uncertain_slice_none_is_certain() -> None:
    chances = [entry.chance for entry in worst_slices(*planted(13))]  # on their own 0.96, 0.60, 0.68, 0.46, 1
    assert chances == pytest.approx([0.96] * (len(chances) - 1) + [1], abs=0.03)


def test_permutations_take_little_memory_and_their_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    masks, beyond = rng.random((3, 1000)) < 0.3, rng.random(1000)
    tracemalloc.start()
    try:
        _, chances = compared(masks, beyond, np.arange(1000), 0)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 10e6  # 4,999 permutations of 1,000 images are 40 MB
    monkeypatch.setattr(slices, "_BLOCK", slices.PERMUTATIONS)
    np.testing.assert_array_equal(compared(masks, beyond, np.arange(1000), 0)[1], chances)


def planted(seed: int) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray, list[None]]:
    rng = np.random.default_rng(seed)
    members = {str(number): rng.random(40) < 0.3 for number in range(8)}
    return members, rng.random(40), np.zeros(40), [None] * 40


def test_without_a_difference_between_images_there_are_no_ends() -> None:
    assert ends({"brightness": np.ones(8)}, NAMES) == {}


def test_holm_by_hand() -> None:
    assert holm(np.array([0.01, 0.04, 0.03])) == pytest.approx([0.03, 0.06, 0.06])
    assert holm(np.array([0.6, 0.9])) == pytest.approx([1.0, 1.0])
