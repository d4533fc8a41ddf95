"""Masks that were each stretched to their own range, and those that only look like it."""

from __future__ import annotations

import numpy as np
import pytest
from tests.data.layouts import labels, pairs, write

from maskwright.data.formats import read_dataset

# Of matplotlib's viridis: its ends, what lies at a third and two thirds, and what lies in the middle.
DARK, THIRD, MIDDLE, TWO_THIRDS, YELLOW = (68, 1, 84), (49, 104, 142), (33, 145, 140), (53, 183, 121), (253, 231, 37)
FOUR, THREE = [DARK, THIRD, TWO_THIRDS, YELLOW], [DARK, MIDDLE, YELLOW]


def kinds(root, kept):
    """Write masks that show `kept` classes each, and return the kinds of faults."""
    pairs(root, [0, 1], count=len(kept))
    for number, mask in enumerate(kept):
        shown = np.array(mask, np.uint8)
        write(root / f"masks/{number:02}.png", shown[labels(list(range(len(mask))))])
    return [fault.kind for fault in read_dataset(root).faults]


STRETCHED = {
    "greys": [[0, 85, 170, 255]] * 3 + [[0, 127, 255]] * 2 + [[0, 255]],
    "ids": [[0, 4, 8, 12]] * 2 + [[0, 6, 12]] * 2,
    "colours": [FOUR] * 3 + [THREE] * 2 + [[DARK, YELLOW]],
}


@pytest.mark.parametrize("case", STRETCHED)
def test_stretched_masks_are_a_warning_and_the_cure_works(tmp_path, case):
    assert "stretched-masks" in kinds(tmp_path, STRETCHED[case])
    ids = [list(range(len(mask))) for mask in STRETCHED[case]]
    assert kinds(tmp_path, ids) == []
    assert read_dataset(tmp_path).classes.names == ("class-0", "class-1", "class-2", "class-3")


def test_the_message_counts_both_kinds(tmp_path):
    kinds(tmp_path, STRETCHED["colours"])
    (fault,) = read_dataset(tmp_path).faults
    assert fault.message == (
        "the masks in masks/ seem to be stretched, each to its own range: 2 (such as 03.png) hold 3 and "
        "3 (such as 00.png) hold 4 evenly spaced levels between the same two, so the same class may look different "
        "from mask to mask"
    )


NOT_STRETCHED = {
    "parts of one grid": [[0, 1, 2, 3, 4]] * 2 + [[0, 2, 4]] * 2,
    "other ends": [[0, 1, 2, 3]] * 2 + [[0, 1, 2]] * 2,
    "one mask alone": [[0, 4, 8, 12]] * 2 + [[0, 6, 12]],
    "uneven": [[0, 3, 8, 12]] * 2 + [[0, 6, 12]] * 2,
    "colours of no map": [[(0, 0, 0), (255, 0, 0), (0, 255, 0), (255, 255, 255)]] * 2
    + [[(0, 0, 0), (0, 0, 255), (255, 255, 255)]] * 2,
}


@pytest.mark.parametrize("case", NOT_STRETCHED)
def test_other_masks_are_not_stretched(tmp_path, case):
    assert "stretched-masks" not in kinds(tmp_path, NOT_STRETCHED[case])
