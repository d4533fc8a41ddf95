"""Sequences: found by names and likeness together, never by one of them; and what scores on them speak of."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.data.survey_data import picture, write_dataset

from maskwright.core.records import ImageRef, Record
from maskwright.data.sequences import find_sequences, read_sequences, scope, sequences_note, with_sequences
from maskwright.data.similarity import SimilarityIndex, thumbnail

REAL = Path(__file__).parents[3] / "shared/data"


def film(count, seed=0):
    """Return frames that drift through random scenery."""
    rng = np.random.default_rng(seed)
    scenery = cv2.resize(rng.uniform(0, 255, (8, 10 + count)).astype(np.float32), None, fx=8, fy=8)
    return [np.repeat(scenery[:, 2 * n : 2 * n + 80, None], 3, axis=2).astype(np.uint8) for n in range(count)]


def found(images, *more):
    """Find sequences among named images, with others that nobody looked at."""
    index = SimilarityIndex({name: thumbnail(image) for name, image in images.items()})
    return find_sequences([*images, *more], index)


def named(pattern, images, start=1, step=1):
    return {pattern.format(start + step * n): image for n, image in enumerate(images)}


def test_frames_are_a_sequence_in_running_order():
    frames = named("film_{}.png", film(30), step=3)  # 1, 4, ... 88: the text order would be another
    assert found(frames) == {"film_#": tuple(frames)}


def test_numbered_photographs_are_none():
    assert found(named("IMG_{:04d}.jpg", [picture(n) for n in range(60)])) == {}


def test_frames_in_another_order_are_none():
    frames = film(60)
    order = np.random.default_rng(0).permutation(60)
    assert found(named("IMG_{:04d}.jpg", [frames[place] for place in order])) == {}


def test_frames_without_numbers_are_none():
    assert found({f"{chr(97 + n // 5)}{chr(97 + n % 5)}.png": frame for n, frame in enumerate(film(25))}) == {}


def test_parts_on_one_fixture_are_none():
    fixture = picture(5).astype(np.float32) * 0.8
    rng = np.random.default_rng(0)
    parts = [fixture + cv2.resize(rng.uniform(-20, 20, (8, 10, 3)).astype(np.float32), (80, 64)) for _ in range(40)]
    assert found(named("part_{:03d}.png", [part.clip(0, 255).astype(np.uint8) for part in parts])) == {}
    few = named(
        "part_{:03d}.png", [part.clip(0, 255).astype(np.uint8) for part in parts[:9]]
    )  # too few to subtract a mean
    assert found(few) == {}


def test_one_folder_may_hold_a_film_and_photographs():
    both = {**named("IMG_{}.jpg", [picture(n) for n in range(30)]), **named("cam_{}.jpg", film(30))}
    assert list(found(both)) == ["cam_#"]


def test_the_folder_of_a_split_does_not_count_but_another_does():
    frames = film(40)
    parts = {**named("train/cam_{:03d}.png", frames[:30]), **named("val/cam_{:03d}.png", frames[30:], start=31)}
    assert found(parts) == {"cam_#": tuple(parts)}
    folders = {**named("a/{:03d}.png", film(20, seed=1)), **named("b/{:03d}.png", film(20, seed=2), start=21)}
    assert set(found(folders)) == {"a/#", "b/#"}


def test_equal_numbers_in_two_splits_are_two_sequences():
    parts = {**named("train/{:03d}.png", film(20, seed=1)), **named("val/{:03d}.png", film(20, seed=2))}
    assert set(found(parts)) == {"train/#", "val/#"}


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("video3_frame_{:04d}.png", "video3_frame_#"),
        ("video3_frame_{:04d}_rgb8.png", "video3_frame_#_rgb8"),
        ("{:04d}/image.png", "#/image"),
        ("2024-05-01_{}.jpg", "2024-05-01_#"),
    ],
)
def test_the_running_number_is_the_last_that_varies(pattern, name):
    assert list(found(named(pattern, film(20)))) == [name]


def test_many_short_films_are_found_together():
    images = {}
    for clip in range(6):
        images |= named(f"clip{clip}_{{}}.png", film(4, seed=clip))
    assert {name: len(frames) for name, frames in found(images).items()} == {f"clip{clip}_#": 4 for clip in range(6)}
    alone = named("clip_{}.png", film(5))
    assert found(alone) == {}  # four pairs of neighbours prove nothing


def test_frames_that_were_not_looked_at_belong_to_it_too():
    frames = named("cam_{:03d}.png", film(40))
    assert found(frames, "cam_041.png", "cam_044.png") == {"cam_#": (*frames, "cam_041.png", "cam_044.png")}


def test_images_are_read_where_nobody_looked_yet(tmp_path):
    mask = np.zeros((64, 80), np.uint8)
    dataset = write_dataset(tmp_path, [(image, mask) for image in film(12)])
    assert read_sequences(dataset.records) == {}  # a0x, b0x, ...: no running number
    for n, image in enumerate(film(12)):
        cv2.imwrite(str(tmp_path / f"cam_{n:02d}.png"), image)
    (tmp_path / "cam_12.png").write_bytes(b"no image")
    records = [Record(f"cam_{n:02d}.png", ImageRef(tmp_path / f"cam_{n:02d}.png")) for n in range(13)]
    frames = read_sequences(records)
    assert frames == {"cam_#": tuple(record.id for record in records)}
    made = with_sequences(records, frames)
    assert {record.group for record in made} == {"cam_#"}
    assert read_sequences(made) == {}  # groups that are known win
    assert "13 images are frames of 1 sequence (cam_#)" in sequences_note(frames, tmp_path).message


def judged(*groups):
    return [Record(f"{n}", ImageRef(Path(f"{n}")), group=group) for n, group in enumerate(groups)]


def test_the_scope_of_scores():
    assert scope(judged(None, None), judged(None)) is None
    assert scope(judged(*"abcd"), judged("e")) is None
    assert scope(judged("a", None, None, None), judged("e")) is None
    one = scope(judged("a", "a"), [])
    assert one == (
        "The images scored come from one group of related images (a): the score holds for these scenes only; how "
        "well the model does on others is unknown."
    )
    assert "only 3 groups of related images (a, b, c): the score holds for these" in scope(judged(*"abc"), judged("d"))
    assert "(a), and training images come from the same: the score" in scope(judged("a"), judged("a", "d"))
    same = "come from the same groups as training images (such as b): "
    assert scope(judged(*"bcde"), judged(*"bcdef")).startswith(f"All images scored {same}the score holds for these")
    assert scope(judged(*"abcde"), judged("b")).startswith(f"1 of the 5 images scored {same}")


@pytest.mark.skipif(not REAL.is_dir(), reason="the real data beside the checkout is absent")
@pytest.mark.parametrize(
    ("folder", "names"),
    [
        ("camvid", {"0001TP_#": 62, "0006R0_f#": 101, "0016E5_#": 305}),
        ("cracks", {}),
        ("nuclei", {}),
        ("pedestrians", {}),
        ("coco-tiny", {}),
        ("edges", {}),
    ],
)
def test_real_data(folder, names):
    root = REAL / folder
    paths = sorted(path for path in root.rglob("*") if path.suffix in {".jpg", ".png"})
    records = [
        Record(path.relative_to(root).as_posix(), ImageRef(path))
        for path in paths
        if path.parent.name in {"train", "val", "test", "images", "train2017", "val2017"}
    ]
    assert len(records) >= 60
    assert {name: len(frames) for name, frames in read_sequences(records).items()} == names
