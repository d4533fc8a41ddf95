"""An object that tiles cut comes out once, and objects that only lie next to each other stay apart."""

from __future__ import annotations

import itertools
import weakref
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from maskwright.core.classes import Classes
from maskwright.core.instances import Instance, Instances
from maskwright.ops.instance_maps import cropped, to_map
from maskwright.ops.instance_parts import overlap, united, without_specks
from maskwright.tasks.block import Block
from maskwright.tasks.by_objects import SCORE
from maskwright.tasks.instance_merge import merged, without_doubles
from maskwright.tasks.instance_objects import InstanceObjects

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

SIZE = (40, 60)


def tiles(truth: list[Instance], side: int = 24, step: int = 16) -> list[Block]:
    """Cut objects into overlapping blocks, each with what it sees of them."""
    blocks = []
    for top in range(0, SIZE[0] - side + 1, step):
        for left in range(0, SIZE[1] - side + 1, step):
            window = np.zeros(SIZE, bool)
            window[top : top + side, left : left + side] = True
            seen = []
            for entry in truth:
                whole = np.zeros(SIZE, bool)
                whole[entry.rows, entry.columns] = entry.mask
                part = cropped(whole & window)
                if part is not None:
                    seen.append(Instance(entry.index, part[0], part[1], part[2], entry.score - 0.001 * left))
            place = slice(top, top + side), slice(left, left + side)
            blocks.append(Block(*place, torch.empty(0, side, side), Instances(SIZE, tuple(seen))))
    return blocks


def box(top: int, left: int, height: int, width: int, index: int = 1, score: float = 0.9) -> Instance:
    return Instance(index, top, left, np.ones((height, width), bool), score)


def test_objects_in_one_to_six_tiles_come_out_once() -> None:
    truth = [box(2, 2, 5, 5), box(12, 10, 14, 30), box(30, 1, 8, 54, index=2), box(2, 20, 4, 3), box(2, 23, 4, 3)]
    found = merged(tiles(truth), SIZE, (0, 1, 2), SCORE)
    assert len(found) == len(truth)
    assert sorted((e.index, e.top, e.left, e.mask.shape, e.area) for e in found.objects) == sorted(
        (e.index, e.top, e.left, e.mask.shape, e.area) for e in truth
    )
    assert [entry.score for entry in found.objects] == sorted((e.score for e in found.objects), reverse=True)


def test_classes_are_put_back_in_order_and_low_scores_left_out() -> None:
    blocks = tiles([box(2, 2, 5, 5, index=1), box(10, 10, 5, 5, index=2, score=0.2)])
    classes = Classes.named(("cat", "background", "dog"))
    found = InstanceObjects().decode(blocks, SIZE, classes, {})
    assert [entry.index for entry in found.objects] == [0]
    found = InstanceObjects().decode(blocks, SIZE, classes, {"score": 0.1})
    assert [entry.index for entry in found.objects] == [0, 2]
    assert len(InstanceObjects().decode([], SIZE, classes, {})) == 0


def test_a_block_shows_an_object_once_and_better_parts_come_first() -> None:
    """The second block sees two halves and, with a low score, both as one, which must not join them."""
    left, right = box(2, 12, 10, 6, score=0.9), box(2, 18, 10, 6, score=0.8)
    both = box(2, 12, 10, 11, score=0.1)
    blocks = [
        Block(slice(0, 40), slice(0, 30), torch.empty(0, 40, 30), Instances(SIZE, (left, right))),
        Block(slice(0, 40), slice(10, 60), torch.empty(0, 40, 30), Instances(SIZE, (left, both, right))),
    ]
    found = merged(blocks, SIZE, (0, 1))
    assert [(entry.left, entry.mask.shape, entry.score) for entry in found.objects] == [
        (12, (10, 6), 0.9),
        (18, (10, 6), 0.8),
        (12, (10, 11), 0.1),
    ]
    assert [entry.score for entry in merged(blocks[::-1], SIZE, (0, 1), least=0.5).objects] == [0.9, 0.8]


def test_objects_of_different_classes_at_one_place_stay_apart() -> None:
    found = merged(tiles([box(12, 12, 10, 10, index=1), box(12, 12, 10, 10, index=2)]), SIZE, (0, 1, 2), SCORE)
    assert sorted(entry.index for entry in found.objects) == [1, 2]


def all_at_once(blocks: list[Block], least: float) -> list[tuple[Any, ...]]:
    """Merge as `merged` does, but compare all blocks with all others, and only then join: slow, and short."""
    parts = [(number, entry) for number, block in enumerate(blocks) for entry in block.objects.objects]
    shown = []
    for block in blocks:
        shown.append(np.zeros(SIZE, bool))
        shown[-1][block.rows, block.columns] = True
    whole = [to_map(Instances(SIZE, (entry,))) > 0 for _, entry in parts]
    pairs = []
    for one, two in itertools.combinations(range(len(parts)), 2):
        (first, a), (second, b) = parts[one], parts[two]
        x, y = (whole[place] & shown[first] & shown[second] for place in (one, two))
        if first != second and a.index == b.index and 2 * (x & y).sum() >= max((x | y).sum(), 1):
            pairs.append((min(a.score, b.score), two, one))
    owner = list(range(len(parts)))
    for _, one, two in sorted(pairs, reverse=True):
        ours, theirs = ([place for place in range(len(parts)) if owner[place] == owner[of]] for of in (one, two))
        if not {parts[place][0] for place in ours} & {parts[place][0] for place in theirs}:
            owner = [min(ours + theirs) if place in ours + theirs else of for place, of in enumerate(owner)]
    found = []
    for first in sorted(set(owner)):
        group = [place for place in range(len(parts)) if owner[place] == first]
        score = max(parts[place][1].score for place in group)
        if score >= least:
            found.append((score, parts[first][1].index, np.any([whole[place] for place in group], axis=0).tobytes()))
    return sorted(found, key=lambda one: -one[0])


@st.composite
def scenes(draw: st.DrawFn) -> tuple[list[Block], float]:
    """Tiles of any size and overlap, which see random boxes: whole, shifted, cut shorter, twice, or not at all."""
    side, step = draw(st.integers(14, 30)), draw(st.integers(8, 14))
    random = np.random.default_rng(draw(st.integers(0, 1 << 20)))
    truth = [
        box(
            *map(int, random.integers(0, 30, 2)), *map(int, random.integers(2, 30, 2)), index=int(random.integers(1, 3))
        )
        for _ in range(draw(st.integers(0, 8)))
    ]
    tops, lefts = (sorted({*range(0, length - side, step), length - side}) for length in SIZE)
    blocks = []
    for top, left in itertools.product(tops, lefts):
        seen = []
        for entry in truth:
            for _ in range(int(random.choice([0, 1, 1, 1, 1, 2]))):
                shift = random.integers(-2, 3, 2) * (random.random() < 0.4)
                rows = np.clip([entry.rows.start + shift[0], entry.rows.stop], top, top + side)
                columns = np.clip([entry.columns.start, entry.columns.stop + shift[1]], left, left + side)
                if rows[0] < rows[1] and columns[0] < columns[1]:
                    shape = int(rows[1] - rows[0]), int(columns[1] - columns[0])
                    score = float(random.choice([0.2, 0.4, 0.4, 0.6, 0.9]))
                    seen.append(box(int(rows[0]), int(columns[0]), *shape, index=entry.index, score=score))
        place = slice(top, top + side), slice(left, left + side)
        blocks.append(Block(*place, torch.empty(0, side, side), Instances(SIZE, tuple(seen))))
    return blocks, draw(st.sampled_from([0.0, 0.5]))


@settings(max_examples=60, deadline=None)
@given(scenes())
def test_objects_are_those_of_all_blocks_at_once(scene: tuple[list[Block], float]) -> None:
    blocks, least = scene
    found = merged(iter(blocks), SIZE, (0, 1, 2), least).objects
    assert [
        (entry.score, entry.index, (to_map(Instances(SIZE, (entry,))) > 0).tobytes()) for entry in found
    ] == all_at_once(blocks, least)


def test_what_no_later_tile_can_continue_is_not_held() -> None:
    """A column of 300 tiles, each with a false object; few of them are alive at a time, and none is returned."""
    alive: weakref.WeakSet[Instance] = weakref.WeakSet()
    most = 0

    def blocks() -> Iterator[Block]:
        nonlocal most
        for top in range(0, 3000, 10):
            entry = box(top + 1, 3, 11, 5, score=0.3)
            alive.add(entry)
            most = max(most, len(alive))
            yield Block(slice(top, top + 14), slice(0, 14), torch.empty(0, 10, 14), Instances((3004, 14), (entry,)))
            del entry

    assert len(merged(blocks(), (3004, 14), (0, 1), least=0.5)) == 0
    assert 2 <= most <= 5


def test_union_and_overlap_by_hand() -> None:
    one, two = box(1, 1, 4, 4), box(3, 3, 4, 4)
    both = united([one, two])
    assert (both.top, both.left, both.mask.shape, both.area) == (1, 1, (6, 6), 16 + 16 - 4)
    everywhere = slice(0, 10), slice(0, 10)
    assert overlap(one, two, *everywhere) == pytest.approx(4 / 28)
    assert overlap(one, two, slice(3, 5), slice(3, 5)) == 1.0
    assert overlap(one, two, slice(8, 10), slice(8, 10)) == 0.0
    assert to_map(Instances((7, 7), (both,))).sum() == 28
    assert both.shares is None


def test_a_pixel_of_both_parts_has_the_higher_share() -> None:
    one, two = (
        replace(box(0, left, 1, 2), shares=np.array([shares], np.float16))
        for left, shares in ((0, (0.5, 0.75)), (1, (0.625, 1.0)))
    )
    for both in (united([one, two]), united([two, one])):
        assert both.shares is not None
        assert both.shares.tolist() == [[0.5, 0.75, 1.0]]


def test_the_highest_share_of_several_parts_counts_by_hand() -> None:
    parts = [
        replace(box(1, left, 1, 2), shares=np.full((1, 2), share, np.float16))
        for left, share in ((2, 0.25), (3, 0.75), (1, 0.5))
    ]
    whole = united(parts)
    assert whole.shares is not None
    assert (whole.top, whole.left, whole.shares.tolist()) == (1, 1, [[0.5, 0.5, 0.75, 0.75]])
    assert united([*parts, box(1, 1, 1, 1)]).shares is None


def test_small_parts_are_left_out_by_hand() -> None:
    mask = np.zeros((6, 10), bool)
    mask[0, 0], mask[2:5, 2:6], mask[4:6, 8:10] = True, True, True  # parts of 1, 12 and 4 pixels
    entry = Instance(1, 10, 20, mask, 0.7, shares=np.arange(60, dtype=np.float16).reshape(6, 10))
    assert without_specks(entry, 0.0) is entry
    assert without_specks(entry, 1 / 12) is entry
    two = without_specks(entry, 4 / 12)
    assert (two.top, two.left, two.mask.shape, two.area) == (12, 22, (4, 8), 16)
    one = without_specks(entry, 0.34)
    assert (one.top, one.left, one.mask.tolist(), one.score) == (12, 22, [[True] * 4] * 3, 0.7)
    assert one.shares is not None
    assert one.shares[0].tolist() == [22, 23, 24, 25]
    diagonal = Instance(1, 0, 0, np.eye(3, dtype=bool))
    assert without_specks(diagonal, 1.0) is diagonal


@given(arrays(bool, (7, 9)), st.floats(0, 1))
def test_the_parts_that_stay_are_those_scipy_finds(pixels: NDArray[np.bool_], least: float) -> None:
    near = cropped(pixels)
    assume(near is not None)
    assert near is not None
    labels, _ = ndimage.label(pixels, structure=np.ones((3, 3)))
    areas = np.bincount(labels.ravel())[1:]
    wanted = np.isin(labels, 1 + np.flatnonzero(areas >= least * areas.max()))
    left = without_specks(Instance(1, *near), least)
    assert (to_map(Instances((7, 9), (left,))) > 0).tolist() == wanted.tolist()


def speckled(place: int) -> Block:
    """Return one of two blocks 24 wide that overlap by 8 columns: a square, outside of them, and 3 pixels inside."""
    left = 16 * place
    mask = np.zeros((20, 40), bool)
    mask[4:12, 2 + 28 * place : 10 + 28 * place] = True
    mask[15, 18:21] = True
    near = cropped(mask)
    assert near is not None
    seen = Instances((20, 40), (Instance(1, *near, 0.9),))
    return Block(slice(0, 20), slice(left, left + 24), torch.empty(0, 20, 24 - 8 * place), seen)


@pytest.mark.parametrize(("part", "areas"), [(0.0, [67, 67]), (0.1, [64, 64]), (1.0, [64, 64])])
def test_stray_pixels_where_blocks_overlap_join_no_objects(part: float, areas: list[int]) -> None:
    found = merged([speckled(0), speckled(1)], (20, 40), (0, 1), part=part)
    assert [entry.area for entry in found.objects] == areas
    assert [entry.left for entry in found.objects] == ([2, 18] if not part else [2, 30])


def halves(mask: NDArray[np.bool_]) -> list[Block]:
    """Return what two blocks 24 wide, which overlap by 8 columns, see of an object in 20 x 40 pixels."""
    blocks = []
    for left in (0, 16):
        window = np.zeros_like(mask)
        window[:, left : left + 24] = True
        near = cropped(mask & window)
        assert near is not None
        seen = Instances((20, 40), (Instance(1, *near, 0.9),))
        blocks.append(Block(slice(0, 20), slice(left, left + 24), torch.empty(0, 20, 24), seen))
    return blocks


def test_a_smaller_part_that_counts_joins_an_object() -> None:
    """The second block sees nothing of a person but a leg, which a fence cuts off from the trunk."""
    mask = np.zeros((20, 40), bool)
    mask[2:17, 2:12], mask[8:17, 16:24] = True, True
    blocks = halves(mask)
    (whole,) = merged(blocks, (20, 40), (0, 1)).objects
    assert whole.area == 150 + 72
    assert [entry.area for entry in merged(blocks, (20, 40), (0, 1), part=1.0).objects] == [150, 72]


def test_the_largest_part_is_that_of_the_whole_object() -> None:
    """A bar through both blocks, and a square in the first one that is larger than the bar's part there."""
    mask = np.zeros((20, 40), bool)
    mask[2:5, 4:40], mask[8:16, 2:10] = True, True
    (whole,) = merged(halves(mask), (20, 40), (0, 1), part=1.0).objects
    assert (whole.top, whole.left, whole.area) == (2, 4, 3 * 36)


def test_of_two_objects_that_are_much_alike_the_less_certain_goes_by_hand() -> None:
    """A chain: each square shares 6 of its 8 columns with the next, an IoU of 48/80, and 4 with the last, 32/96."""
    first, second, third = (replace(box(0, left, 8, 8), score=score) for left, score in ((0, 0.9), (2, 0.8), (4, 0.7)))
    found = Instances(SIZE, (first, second, third))
    assert without_doubles(found, 1.0) is found
    assert without_doubles(found, 0.7).objects == (first, second, third)
    assert without_doubles(found, 0.5).objects == (first, third)  # only an object that stays removes another
    assert without_doubles(found, 0.3).objects == (first,)
    other = replace(second, index=2)
    assert without_doubles(Instances(SIZE, (first, other)), 0.3).objects == (first, other)
    assert len(without_doubles(Instances(SIZE), 0.5)) == 0
