"""Splits: what belongs together stays together, classes are shared, the layout's own parts are kept."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import groupby, pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.data.survey_data import imagined, picture, write_dataset

from maskwright.core.errors import MaskwrightError
from maskwright.core.plan import SplitPlan
from maskwright.core.records import SPLITS
from maskwright.data.split import TooFewImagesError, with_splits
from maskwright.data.stratify import assign, part_targets

ROOT = Path("/nowhere")
PLAN = SplitPlan()


def sides(dataset):
    return {record.id: record.split for record in dataset.records}


def film(count, seed=0):
    """Return frames that drift slowly through random scenery, so that neighbours look alike and others do not."""
    rng = np.random.default_rng(seed)
    scenery = cv2.resize(rng.uniform(0, 255, (8, 10 + count)).astype(np.float32), None, fx=8, fy=8)
    return [np.repeat(scenery[:, 2 * n : 2 * n + 80, None], 3, axis=2).astype(np.uint8) for n in range(count)]


@pytest.mark.parametrize(
    ("count", "shares", "expected"),
    [
        (3, (0.7, 0.15, 0.15), [1, 1, 1]),
        (4, (0.7, 0.15, 0.15), [2, 1, 1]),
        (10, (0.7, 0.15, 0.15), [7, 2, 1]),
        (100, (0.7, 0.15, 0.15), [70, 15, 15]),
        (101, (0.5, 0.5), [51, 50]),
        (5, (1.0, 0.0), [5, 0]),
    ],
)
def test_targets_by_hand(count, shares, expected):
    assert part_targets(count, shares) == expected


@given(st.integers(3, 5000), st.floats(0.01, 0.45), st.floats(0.01, 0.45))
def test_targets_sum_up_and_leave_nobody_out(count, val, test):
    targets = part_targets(count, (1 - val - test, val, test))
    assert sum(targets) == count
    assert min(targets) >= 1


def test_a_class_of_three_images_is_in_all_three_parts():
    presence = np.zeros((40, 2), np.int64)
    presence[:, 0] = 1
    presence[[4, 5, 6], 1] = 1
    parts = assign(presence, np.ones(40, np.int64), [28, 6, 6], np.arange(40))
    assert sorted(parts[place] for place in (4, 5, 6)) == [0, 1, 2]
    assert Counter(parts) == {0: 28, 1: 6, 2: 6}


def test_a_class_of_one_image_is_trained_on():
    presence = np.ones((20, 2), np.int64)
    presence[:, 1] = 0
    presence[11, 1] = 1
    assert assign(presence, np.ones(20, np.int64), [14, 3, 3], np.arange(20))[11] == 0


def test_a_giant_cluster_goes_to_training_and_the_rest_is_shared():
    sizes = np.array([50, *([1] * 50)])
    parts = assign(np.zeros((51, 1), np.int64), sizes, [70, 15, 15], np.arange(51))
    assert parts[0] == 0
    assert Counter(parts[1:]) == {0: 20, 1: 15, 2: 15}


def test_no_part_stays_empty_while_there_are_clusters():
    parts = assign(np.ones((3, 1), np.int64), np.array([8, 1, 1]), [4, 3, 3], np.arange(3))
    assert sorted(parts) == [0, 1, 2]


def test_three_images_make_one_each():
    dataset, seen = imagined(ROOT, ["a", "b", "c"], [{0}, {0}, {0}])
    assert sorted(sides(with_splits(dataset, PLAN, 0, seen)).values()) == ["test", "train", "val"]


@pytest.mark.parametrize("count", [1, 2])
def test_too_few_images_is_an_error_with_a_cure(count):
    dataset, seen = imagined(ROOT, ["a", "b"][:count], [{0}] * count)
    with pytest.raises(
        TooFewImagesError,
        match=rf"^{count} images? cannot be divided into train, val and test, which takes at least 3: add more, or "
        "leave a split out: set `split.test=0`",
    ):
        with_splits(dataset, PLAN, 0, seen)


def test_one_image_may_train_without_a_check():
    dataset, seen = imagined(ROOT, ["a"], [{0}])
    assert sides(with_splits(dataset, SplitPlan(val=0, test=0), 0, seen)) == {"a": "train"}


def test_a_part_of_share_zero_is_empty():
    dataset, seen = imagined(ROOT, [f"n{chr(97 + n)}" for n in range(20)], [{0}] * 20)
    assert Counter(sides(with_splits(dataset, SplitPlan(val=0.2, test=0), 0, seen)).values()) == {"train": 16, "val": 4}
    assert Counter(sides(with_splits(dataset, SplitPlan(val=0, test=0.2), 0, seen)).values()) == {
        "train": 16,
        "test": 4,
    }


def test_shares_must_leave_something_for_training():
    dataset, seen = imagined(ROOT, ["a", "b", "c"], [{0}] * 3)
    with pytest.raises(MaskwrightError, match="together they must stay below 1"):
        with_splits(dataset, SplitPlan(val=0.5, test=0.5), 0, seen)


def test_the_layouts_three_parts_are_kept_and_nothing_is_read():
    splits = ["train", "val", "test", "train", "val"]
    dataset, _ = imagined(ROOT, list("abcde"), [{0}] * 5, splits=splits)
    assert list(sides(with_splits(dataset, PLAN, 0)).values()) == splits


def test_val_is_halved_where_test_is_missing():
    names = [f"train/{chr(97 + n)}" for n in range(10)] + [f"val/{chr(97 + n)}" for n in range(9)]
    dataset, seen = imagined(ROOT, names, [{0}] * 19, splits=["train"] * 10 + ["val"] * 9)
    made = sides(with_splits(dataset, PLAN, 0, seen))
    assert {made[name] for name in names[:10]} == {"train"}
    assert Counter(made[name] for name in names[10:]) == {"val": 5, "test": 4}


def test_val_stays_whole_when_no_test_is_wanted_and_becomes_test_when_no_val_is():
    dataset, seen = imagined(ROOT, list("abcd"), [{0}] * 4, splits=["train", "train", "val", "val"])
    assert Counter(sides(with_splits(dataset, SplitPlan(test=0), 0, seen)).values()) == {"train": 2, "val": 2}
    assert Counter(sides(with_splits(dataset, SplitPlan(val=0), 0, seen)).values()) == {"train": 2, "test": 2}


def test_a_single_val_image_stays_and_the_missing_test_is_a_fault():
    dataset, seen = imagined(ROOT, list("abc"), [{0}] * 3, splits=["train", "train", "val"])
    made = with_splits(dataset, PLAN, 0, seen)
    assert sides(made)["c"] == "val"
    assert [fault.kind for fault in made.faults] == ["no-test"]


def test_val_is_taken_out_of_train_where_only_test_is_given():
    names = [f"n{chr(97 + n)}" for n in range(24)]
    dataset, seen = imagined(ROOT, names, [{0}] * 24, splits=["train"] * 20 + ["test"] * 4)
    made = sides(with_splits(dataset, PLAN, 0, seen))
    assert Counter(made.values()) == {"train": 17, "val": 3, "test": 4}
    assert {made[name] for name in names[20:]} == {"test"}


@pytest.mark.parametrize("only", ["train", "val"])
def test_a_single_part_is_divided_like_no_part(only):
    dataset, seen = imagined(ROOT, list("abcdefgh"), [{0}] * 8, splits=[only] * 8)
    assert set(sides(with_splits(dataset, PLAN, 0, seen)).values()) == set(SPLITS)


def test_images_without_annotation_are_dropped():
    dataset, seen = imagined(ROOT, list("abcd"), [{0}] * 4)
    dataset = replace(dataset, records=(replace(dataset.records[0], annotation=None), *dataset.records[1:]))
    assert set(sides(with_splits(dataset, PLAN, 0, seen))) == set("bcd")


def test_without_a_survey_the_files_are_read(tmp_path):
    mask = np.zeros((64, 80), np.uint8)
    mask[:9] = 1
    dataset = write_dataset(tmp_path, [(picture(seed), mask) for seed in range(6)])
    assert Counter(sides(with_splits(dataset, PLAN, 0)).values()) == {"train": 4, "val": 1, "test": 1}


def test_groups_come_from_the_first_parenthesis_or_the_whole_match():
    names = [f"patient{n}_{side}.png" for n in range(12) for side in "ab"]
    dataset, seen = imagined(ROOT, names, [{0}] * 24)
    for pattern in (r"patient(\d+)_", r"patient\d+"):
        made = with_splits(dataset, SplitPlan(group_by=pattern), 0, seen)
        for n in range(12):
            assert len({record.split for record in made.records if f"patient{n}_" in record.id}) == 1
    assert {record.group for record in made.records} == {f"patient{n}" for n in range(12)}


def test_a_group_by_that_fits_nothing_is_an_error_that_shows_a_name():
    dataset, seen = imagined(ROOT, ["images/p1_a.png", "x", "y"], [{0}] * 3)
    with pytest.raises(MaskwrightError, match=r"matches none of 3 images.*images/p1_a\.png"):
        with_splits(dataset, SplitPlan(group_by="site([0-9])_"), 0, seen)
    with pytest.raises(MaskwrightError, match="not a valid regular expression"):
        with_splits(dataset, SplitPlan(group_by="site([0-9]_"), 0, seen)


def test_fewer_groups_than_parts_is_an_error():
    dataset, seen = imagined(ROOT, list("abcdef"), [{0}] * 6, groups=["one"] * 3 + ["two"] * 3)
    with pytest.raises(TooFewImagesError, match="6 images form 2 groups"):
        with_splits(dataset, PLAN, 0, seen)


def test_a_film_is_halved_in_two_contiguous_blocks_with_a_gap():
    frames = film(40)
    names = [f"val/cam_{10 + 2 * n:05d}.png" for n in range(40)]
    train = [f"train/x{chr(97 + n)}.png" for n in range(12)]
    looks = [picture(n) for n in range(12)] + frames
    dataset, seen = imagined(ROOT, train + names, [{0}] * 52, looks, ["train"] * 12 + ["val"] * 40)
    made = with_splits(dataset, PLAN, 0, seen)
    order = [sides(made)[name] for name in names]
    blocks = [side for side, _ in groupby(order)]
    assert blocks in (["val", None, "test"], ["test", None, "val"])
    assert abs(order.count("val") - order.count("test")) <= 10
    gap = order.count(None)
    assert 1 <= gap <= 5  # a quarter of the shorter block, at most
    first = order.index(None)
    beside = seen.similarity.centred([(names[first - 1], names[first + gap])])
    assert gap == 5 or beside[0] < 0.5
    assert {record.group for record in made.records if record.id in names} == {"cam_#"}
    note, warning = made.faults
    assert (note.kind, note.severity, warning.kind, warning.severity) == (
        *("sequences", "note"),
        *("sequence-cut", "warning"),
    )
    assert "40 images are frames of 1 sequence (cam_#)" in note.message
    assert f"and {gap} frame" in warning.message
    assert "these scenes only" in warning.message


def drives(*lengths):
    """Return names and frames of several drives."""
    names = [f"drive{drive}_{n:03d}.png" for drive, length in enumerate(lengths) for n in range(length)]
    return names, [frame for drive, length in enumerate(lengths) for frame in film(length, seed=drive)]


@pytest.mark.parametrize("seed", range(4))
def test_sequences_stay_whole_where_there_are_enough(seed):
    names, frames = drives(20, 14, 12, 10)
    dataset, seen = imagined(ROOT, names, [{0}] * len(names), frames)
    made = with_splits(dataset, PLAN, seed, seen)
    for drive in range(4):
        assert len({record.split for record in made.records if f"drive{drive}_" in record.id}) == 1
    assert set(sides(made).values()) == set(SPLITS)
    assert [fault.kind for fault in made.faults] == ["sequences"]


def test_two_sequences_are_cut_and_three_parts_get_their_blocks():
    names, frames = drives(40, 40)
    dataset, seen = imagined(ROOT, names, [{0}] * 80, frames)
    made = with_splits(dataset, PLAN, 0, seen)
    counts = Counter(sides(made).values())
    assert counts["train"] >= 40
    assert min(counts["val"], counts["test"]) >= 6
    assert [fault.kind for fault in made.faults] == ["sequences", "sequence-cut"]
    for drive in range(2):
        order = [side for name, side in sides(made).items() if f"drive{drive}_" in name]
        assert all(None in pair or pair[0] == pair[1] for pair in pairwise(order))  # never side by side


def test_what_the_user_says_belongs_together_wins():
    names, frames = drives(40, 40)
    dataset, seen = imagined(ROOT, names, [{0}] * 80, frames)
    made = with_splits(dataset, SplitPlan(group_by=".*"), 0, seen)
    assert len({record.group for record in made.records}) == 80
    assert None not in sides(made).values()
    assert "sequences" not in {fault.kind for fault in made.faults}
    said, _ = imagined(ROOT, names, [{0}] * 80, frames, groups=["a"] * 40 + ["b"] * 20 + ["c"] * 20)
    made = with_splits(said, PLAN, 0, seen)
    assert {record.group for record in made.records} == {"a", "b", "c"}
    assert made.faults == ()


def test_the_layouts_parts_are_kept_and_their_sequences_named():
    names, frames = drives(20, 20)
    splits = [("train", "val", "test")[n % 3] for n in range(40)]
    dataset, seen = imagined(ROOT, names, [{0}] * 40, frames, splits)
    made = with_splits(dataset, PLAN, 0, seen)
    assert list(sides(made).values()) == splits
    assert {record.group for record in made.records} == {"drive0_#", "drive1_#"}


def test_a_film_is_cut_where_the_scene_changes():
    frames = film(14, seed=1) + film(16, seed=2)
    names = [f"cam_{n:03d}.png" for n in range(30)]
    dataset, seen = imagined(ROOT, names, [{0}] * 30, frames)
    made = sides(with_splits(dataset, SplitPlan(val=0.5, test=0), 0, seen))
    assert len({made[name] for name in names[:14]}) == len({made[name] for name in names[14:]}) == 1


def test_numbered_photographs_are_no_film():
    names = [f"IMG_{n:04d}.jpg" for n in range(60)]
    dataset, seen = imagined(ROOT, names, [{0}] * 60, [picture(n) for n in range(60)])
    made = [with_splits(dataset, PLAN, 0, seen).records[n].split for n in range(60)]
    assert sum(one != other for one, other in pairwise(made)) > 8


def test_when_all_look_alike_they_are_divided_all_the_same_and_it_is_said():
    names = [f"x{chr(97 + n)}" for n in range(20)]
    dataset, seen = imagined(ROOT, names, [{0}] * 20, [picture(0)] * 20)
    made = with_splits(dataset, PLAN, 0, seen)
    assert Counter(sides(made).values()) == {"train": 14, "val": 3, "test": 3}
    assert [fault.kind for fault in made.faults] == ["near-duplicate-split"]


@st.composite
def families(draw):
    """Draw records with classes, where some images are copies of one another and some share a group."""
    count = draw(st.integers(30, 70))
    kin = [draw(st.integers(0, count - 1)) for _ in range(count)]
    groups = [draw(st.sampled_from([None, None, None, "p1", "p2", "p3"])) for _ in range(count)]
    classes = [frozenset(draw(st.sets(st.integers(0, 4), max_size=3))) for _ in range(count)]
    return kin, groups, classes, draw(st.integers(0, 5)), draw(st.randoms(use_true_random=False))


@settings(max_examples=40, deadline=None)
@given(families())
def test_nothing_that_belongs_together_is_torn_and_order_does_not_matter(drawn):
    kin, groups, classes, seed, random = drawn
    names = [f"r{chr(97 + n % 26)}{chr(97 + n // 26)}" for n in range(len(kin))]
    dataset, seen = imagined(ROOT, names, classes, [picture(n) for n in kin], groups=groups)
    made = with_splits(dataset, PLAN, seed, seen)
    if any(fault.kind == "near-duplicate-split" for fault in made.faults):
        return
    for key in (kin, groups):
        for value in set(key) - {None}:
            members = [
                record.split for record, own in zip(made.records, _by_name(names, key), strict=True) if own == value
            ]
            assert len(set(members)) == 1
    shuffled = list(dataset.records)
    random.shuffle(shuffled)
    assert with_splits(replace(dataset, records=tuple(shuffled)), PLAN, seed, seen) == made


def _by_name(names, values):
    return [value for _, value in sorted(zip(names, values, strict=True), key=lambda pair: pair[0])]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sets(st.integers(0, 3), max_size=2), min_size=40, max_size=120), st.integers(0, 9))
def test_shares_are_kept_and_classes_shared(classes, seed):
    names = [f"r{chr(97 + n % 26)}{chr(97 + n // 26)}" for n in range(len(classes))]
    dataset, seen = imagined(ROOT, names, classes)
    made = with_splits(dataset, PLAN, seed, seen)
    counts = Counter(record.split for record in made.records)
    for part, share in zip(SPLITS, (0.7, 0.15, 0.15), strict=True):
        assert abs(counts[part] - share * len(names)) <= 1
    for index in range(4):
        having = [name for name, shown in zip(names, classes, strict=True) if index in shown]
        parts = {record.split for record in made.records if record.id in having}
        if len(having) >= 8:
            assert parts == set(SPLITS)


def test_the_seed_decides():
    names = [f"r{chr(97 + n % 26)}{chr(97 + n // 26)}" for n in range(50)]
    dataset, seen = imagined(ROOT, names, [{0}] * 50)
    made = [tuple(sides(with_splits(dataset, PLAN, seed, seen)).values()) for seed in (0, 0, 1)]
    assert made[0] == made[1] != made[2]
