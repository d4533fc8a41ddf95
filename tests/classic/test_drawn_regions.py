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
    # Of region 4, 2 of 3 pixels; of 7, 2 of 5; of 9, 2 of 4, which is not more than half.
    mask = np.array([[1, 1, 1, 1], [0, 1, 1, 0], [0, 0, 0, 0]], bool)
    assert snapped(REGIONS, mask).tolist() == (REGIONS == 4).tolist()
    assert snapped(REGIONS, mask).dtype == np.bool_


def test_of_several_labels_the_one_with_more_than_half_stays() -> None:
    drawn = np.array([[5, 5, 3, 3], [1, 8, 8, 3], [8, 3, 0, 5]])
    assert snapped(REGIONS, drawn).tolist() == [[5, 5, 3, 3], [5, 8, 8, 3], [8, 8, 8, 3]]
    assert snapped(REGIONS, np.where(drawn == 5, 1, drawn), nothing=-1)[0, 0] == 1
    assert snapped(np.zeros((1, 4), int), np.array([[1, 1, 2, 3]]), nothing=-1).tolist() == [[-1] * 4]


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
        for label in (1, 2):
            if (drawn[inside] == label).mean() > 0.5:
                moved[inside] = label
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
        (
            {"drawn": np.zeros((3, 4), np.uint8), "nothing": 256},
            "nothing is 256, but a drawing of uint8 holds 0",
        ),
    ],
)
def test_what_cannot_be_moved_is_refused(move: object, arguments: dict, words: str) -> None:
    wanted = {"regions": REGIONS, "drawn": np.zeros((3, 4), int), "nothing": 0, **arguments}
    with pytest.raises(MaskwrightError, match=words):
        move(*wanted.values())  # type: ignore[operator]
