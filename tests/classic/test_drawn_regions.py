"""Drawings on regions: by hand, against a plain implementation, and on real outlines that a hand did not follow."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskwright.classic.drawn_regions import filled, snapped
from maskwright.classic.superpixels import superpixels
from maskwright.core.errors import MaskwrightError
from maskwright.data.readers import read_image

REGIONS = np.array([[4, 4, 9, 9], [4, 7, 7, 9], [7, 7, 7, 9]])
REAL = Path(__file__).parents[3] / "shared/data"


def test_a_scribble_fills_the_regions_that_it_touches() -> None:
    scribble = np.array([[1, 0, 0, 0], [0, 0, 0, 0], [0, 1, 0, 0]], np.uint8)
    found = filled(REGIONS, scribble)
    assert found.labels.tolist() == [[1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 0]]
    assert found.labels.dtype == np.uint8
    assert (found.regions, found.conflicts) == (2, 0)


def test_a_region_with_two_labels_keeps_the_drawn_pixels_alone() -> None:
    scribble = np.array([[2, 255, 255, 255], [255, 0, 2, 255], [255, 255, 255, 255]], np.uint8)
    found = filled(REGIONS, scribble, 255)
    assert found.labels.tolist() == [[2, 2, 255, 255], [2, 0, 2, 255], [255, 255, 255, 255]]
    assert (found.regions, found.conflicts) == (1, 1)


def test_a_mask_becomes_the_regions_that_it_covers_by_more_than_half() -> None:
    # Of region 4, 2 of 3 pixels; of 7, 2 of 5; of 9, 2 of 4, and of labels that are equal the smaller stays.
    mask = np.array([[1, 1, 1, 1], [0, 1, 1, 0], [0, 0, 0, 0]], bool)
    assert snapped(REGIONS, mask).tolist() == (REGIONS == 4).tolist()
    assert snapped(REGIONS, mask).dtype == np.bool_


def test_of_several_labels_that_of_the_most_pixels_stays() -> None:
    drawn = np.array([[5, 5, 3, 3], [1, 8, 8, 3], [8, 3, 0, 5]])
    assert snapped(REGIONS, drawn).tolist() == [[5, 5, 3, 3], [5, 8, 8, 3], [8, 8, 8, 3]]
    assert snapped(np.zeros((1, 5), int), np.array([[0, 2, 2, 1, 3]])).tolist() == [[2] * 5]
    assert snapped(np.zeros((1, 5), int), np.array([[9, 2, 9, 2, 3]], np.uint16)).tolist() == [[2] * 5]


def test_masks_of_many_objects_need_no_table_of_all_pairs() -> None:
    """100,000 regions and as many labels: all pairs would be 10^10 counts."""
    regions = np.repeat(np.arange(100_000), 3).reshape(500, 600)
    objects = np.where(np.arange(regions.size) % 3 == 0, 0, regions.ravel() + 1).reshape(regions.shape)
    assert (snapped(regions, objects) == regions + 1).all()
    assert (filled(regions, objects).labels == regions + 1).all()


DRAWINGS = st.tuples(st.integers(0, 2**31), st.integers(1, 9), st.integers(1, 9), st.integers(1, 5))


@given(DRAWINGS)
def test_plain_loops_agree(case: tuple[int, int, int, int]) -> None:
    seed, height, width, count = case
    rng = np.random.default_rng(seed)
    regions = rng.integers(-2, count, (height, width))
    drawn = rng.integers(0, 3, (height, width)) * (rng.random((height, width)) < 0.5)
    grown, moved, conflicts = drawn.copy(), np.zeros_like(drawn), 0
    for region in np.unique(regions):
        inside = regions == region
        labels = set(drawn[inside].tolist()) - {0}
        conflicts += len(labels) > 1
        if len(labels) == 1:
            grown[inside] = labels.pop()
        moved[inside] = max((0, 1, 2), key=lambda label: ((drawn[inside] == label).sum(), -label))
    found = filled(regions, drawn)
    assert (found.labels == grown).all()
    assert found.conflicts == conflicts
    assert (snapped(regions, drawn) == moved).all()
    assert (snapped(regions, moved) == moved).all()


def test_nothing_drawn_stays_nothing() -> None:
    empty = np.full((3, 4), 255, np.uint8)
    assert filled(REGIONS, empty, 255).regions == 0
    assert (filled(REGIONS, empty, 255).labels == 255).all()
    assert not snapped(REGIONS, np.zeros((3, 4), bool)).any()


@pytest.mark.skipif(not REAL.is_dir(), reason="real data in ../shared/data is not here")
def test_snapping_brings_a_displaced_outline_back() -> None:
    """Outlines that miss the nuclei by some four pixels come nearer to them."""
    before, after = [], []
    for number, file in enumerate(sorted((REAL / "nuclei/images").glob("*.png"))[:40:5]):
        image = read_image(file)[:256, :256, :3]
        truth = cv2.imread(str(REAL / "nuclei/instances" / file.name), cv2.IMREAD_UNCHANGED)[:256, :256] > 0
        rng = np.random.default_rng(number)
        shifts = [cv2.GaussianBlur(rng.normal(size=truth.shape).astype(np.float32), (0, 0), 8) for _ in range(2)]
        rows, columns = np.indices(truth.shape, np.float32)
        down, across = (3 * shift / shift.std() for shift in shifts)
        drawn = cv2.remap(truth.view(np.uint8), columns + across, rows + down, cv2.INTER_NEAREST) > 0
        regions = superpixels(image, count=round(truth.size / 14**2))
        for counts, mask in ((before, drawn), (after, snapped(regions, drawn))):
            counts.append([(mask & truth).sum(), (mask | truth).sum()])
    (both, either), (both_drawn, either_drawn) = np.sum(after, axis=0), np.sum(before, axis=0)
    assert both / either > both_drawn / either_drawn + 0.03


@pytest.mark.parametrize("move", [filled, snapped])
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"drawn": np.zeros((3, 5), int)}, r"the label map is 4x3 pixels, but the image has shape \(3, 5\)"),
        ({"drawn": np.zeros((3, 4))}, "an array of float64 with shape .* is not a label map"),
        ({"regions": np.zeros((3, 4))}, "an array of float64 with shape .* is not a label map"),
    ],
)
def test_what_cannot_be_moved_is_refused(move: object, arguments: dict, words: str) -> None:
    wanted = {"regions": REGIONS, "drawn": np.zeros((3, 4), int), **arguments}
    with pytest.raises(MaskwrightError, match=words):
        move(*wanted.values())  # type: ignore[operator]


def test_a_scribble_must_be_able_to_hold_nothing() -> None:
    with pytest.raises(MaskwrightError, match="nothing is 256, but a scribble of uint8 holds 0 to 255"):
        filled(REGIONS, np.zeros((3, 4), np.uint8), 256)
