"""Near-duplicates: found when re-encoded, not invented among look-alikes."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.data.survey_data import picture

from maskwright.data import similarity
from maskwright.data.similarity import GRID, SimilarityIndex, thumbnail


def crowd(count=12):
    return [picture(seed) for seed in range(100, 100 + count)]


def index_of(images):
    return SimilarityIndex({f"{place:04d}": thumbnail(image) for place, image in enumerate(images)})


def pairs_of(images):
    return [(int(one), int(other)) for one, other in index_of(images).near_duplicates]


def jpeg(image, quality=60):
    return cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)


@pytest.mark.parametrize(
    "change",
    [
        jpeg,
        lambda image: cv2.resize(image, (200, 160)),
        lambda image: (image * 0.7 + 20).astype(np.uint8),
        lambda image: image[1:-1, 1:-1],
        lambda image: image.astype(np.uint16) * 257,
        lambda image: image.astype(np.float32) / 255,
    ],
    ids=["jpeg", "resized", "darker", "cropped", "16 bit", "float"],
)
def test_finds_a_changed_copy(change):
    images = crowd()
    assert pairs_of([*images, change(images[3])]) == [(3, 12)]


def test_unrelated_images_are_no_pairs():
    assert pairs_of(crowd(60)) == []


def test_parts_on_one_fixture_are_no_pairs_but_a_copy_is():
    fixture = picture(5).astype(np.float32) * 0.8
    rng = np.random.default_rng(0)
    images = []
    for _ in range(20):
        part = fixture + cv2.resize(rng.uniform(-20, 20, (8, 10, 3)).astype(np.float32), (80, 64))
        images.append(part.clip(0, 255).astype(np.uint8))
    plain = np.corrcoef([np.frombuffer(thumbnail(image).pixels, np.uint8) for image in images])
    assert plain.min() > 0.96  # so that the plain correlation alone would call all of them duplicates
    assert pairs_of(images) == []
    assert pairs_of([*images, jpeg(images[7], 90)]) == [(7, 20)]


def test_flat_images_are_like_nothing_but_their_own_copies():
    flats = [np.full((20, 20, 1), level, np.uint8) for level in (0, 7, 7, 255)]
    assert pairs_of([*flats, *crowd()]) == [(1, 2)]


def test_all_copies_are_linked():
    images = [picture(1)] * 4
    index = index_of(images)
    assert index.identical == [("0000", "0001"), ("0000", "0002"), ("0000", "0003")]
    assert len(index.near_duplicates) == 6


def test_thumbnail_by_hand():
    image = np.zeros((32, 32, 1), np.uint8)
    image[:, 16:] = 100
    expected = np.zeros((GRID, GRID), np.uint8)
    expected[:, 8:] = 255
    assert thumbnail(image).pixels == expected.tobytes()


def test_any_number_of_bands():
    grey = picture(3).astype(np.uint16).mean(axis=2, keepdims=True).astype(np.uint16)
    large = np.tile(grey, (3, 3, 1))
    assert large.shape[0] > 128
    for bands in (2, 5, 7):
        assert thumbnail(np.repeat(large, bands, axis=2)).pixels == thumbnail(large).pixels


def test_not_a_number_does_no_harm():
    image = picture(3).astype(np.float32)
    image[0, 0] = np.nan
    assert np.isfinite(np.frombuffer(thumbnail(image).pixels, np.uint8)).all()
    assert len(set(thumbnail(image).pixels)) > 100


def test_checksum_tells_shape_and_type_apart():
    zeros = np.zeros((4, 6, 1), np.uint8)
    sums = {thumbnail(array).checksum for array in (zeros, zeros.reshape(6, 4, 1), zeros.view(np.int8))}
    assert len(sums) == 3


def test_blocks_change_nothing(monkeypatch):
    images = crowd(14)
    images = [*images, jpeg(images[2]), jpeg(images[9]), images[0]]
    whole = pairs_of(images)
    monkeypatch.setattr(similarity, "_BLOCK", 4)
    assert pairs_of(images) == whole == [(0, 16), (2, 14), (9, 15)]


def test_a_folder_of_copies_stays_small_and_connected():
    count = 300
    pairs = pairs_of([picture(1)] * count + crowd())
    assert len(pairs) <= (similarity._MOST_PARTNERS + 1) * count
    assert {place for pair in pairs for place in pair} == set(range(count))
    assert {(n, n + 1) for n in range(count - 1)} <= set(pairs)


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(15)))
def test_order_changes_nothing(order):
    images = crowd(12)
    images = [*images, jpeg(images[2]), jpeg(images[9]), images[0]]
    found = {frozenset((order[i], order[j])) for i, j in pairs_of([images[place] for place in order])}
    assert found == {frozenset(pair) for pair in ((0, 14), (2, 12), (9, 13))}
