"""`inspect` on folders as users have them: made ones with planted faults, and the five real ones."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.data.survey_data import picture, write_dataset

from maskwright.core.errors import MaskwrightError
from maskwright.core.plan import SplitPlan
from maskwright.workflows.inspect import inspect
from maskwright.workflows.plan import check_trainable

REAL = Path(__file__).parents[2] / ".." / "shared" / "data"


def real(name):
    """Return the fingerprint of a real data set, once a session."""
    root = REAL / name
    if not root.is_dir():
        pytest.skip(f"../shared/data/{name} is not on this machine")
    if name not in _MEASURED:
        _MEASURED[name] = inspect(root)
    return _MEASURED[name]


_MEASURED = {}


def folder(tmp_path, count):
    """Write `count` pairs of images/ and masks/ (0 and 1) and return the folder."""
    masks = []
    for n in range(count):
        mask = np.zeros((64, 80), np.uint8)
        mask[n : n + 20, n : n + 20] = 1
        masks.append(mask)
    write_dataset(tmp_path / "set", [(picture(n), mask) for n, mask in enumerate(masks)])
    return tmp_path / "set"


def kinds(print_):
    return Counter(fault.kind for fault in print_.faults)


def test_a_clean_folder(tmp_path, capfd):
    calls = []
    print_ = inspect(folder(tmp_path, 10), on_progress=lambda done, total: calls.append((done, total)))
    assert print_.trainable
    assert print_.splits == {"train": 7, "val": 2, "test": 1}
    assert print_.class_stats[1].images == {"train": 7, "val": 2, "test": 1}
    assert calls == [(n, 10) for n in range(1, 11)]
    assert capfd.readouterr() == ("", "")
    json.dumps(print_.to_json())


def test_the_split_asked_for(tmp_path):
    root = folder(tmp_path, 10)
    assert inspect(root, split=SplitPlan(val=0.5, test=0)).splits == {"train": 5, "val": 5}
    print_ = inspect(root, split=SplitPlan(group_by="([a-c]|[d-f]|[g-j])0x"), seed=3)
    assert print_.groups == 10


@pytest.mark.parametrize("count", [1, 2])
def test_too_few_images_are_a_fault_and_not_an_error(tmp_path, count):
    print_ = inspect(folder(tmp_path, count))
    assert print_.images == count
    assert print_.splits == {}
    assert print_.faults[0].kind == "too-few-images"
    assert "cannot be divided into train, val and test" in print_.faults[0].message
    assert not print_.trainable
    assert "cannot be divided" in print_.obstacle


def test_no_image_at_all_is_one_fault_beside_its_causes(tmp_path):
    root = folder(tmp_path, 4)
    for path in root.rglob("images/*"):
        path.write_bytes(b"no picture")
    print_ = inspect(root)
    assert kinds(print_) == {"no-images": 1, "unreadable": 4}
    assert (print_.images, print_.annotated) == (0, 4)
    assert print_.obstacle.startswith("no image with a usable annotation is left")


def test_fewer_groups_than_parts_cannot_train(tmp_path):
    print_ = inspect(folder(tmp_path, 6), split=SplitPlan(group_by="(0x)"))
    assert not print_.trainable
    assert "the 6 images form 1 group" in print_.obstacle


def test_masks_of_one_value_cannot_train(tmp_path):
    write_dataset(tmp_path / "set", [(picture(n), np.full((64, 80), 7, np.uint8)) for n in range(8)])
    print_ = inspect(tmp_path / "set")
    assert [entry.name for entry in print_.class_stats] == ["class-7"]
    assert not print_.trainable
    assert "every labelled pixel is class-7" in print_.obstacle
    with pytest.raises(MaskwrightError, match="cannot be trained on: every labelled pixel is class-7"):
        check_trainable(print_)


def test_faults_of_the_layout_and_of_the_files_come_together(tmp_path):
    root = folder(tmp_path, 12)
    (root / "masks" / "a0x.png").unlink()
    (root / "images" / "b0x.png").write_bytes((root / "images" / "b0x.png").read_bytes()[:300])
    cv2.imwrite(str(root / "masks" / "c0x.png"), np.zeros((64, 80), np.uint8))
    print_ = inspect(root)
    assert print_.images == 10
    assert kinds(print_) == {"unpaired": 1, "truncated": 1, "empty-mask": 1}
    assert all(fault.cure and fault.message for fault in print_.faults)
    ranks = [("error", "warning", "note").index(fault.severity) for fault in print_.faults]
    assert ranks == sorted(ranks)


def test_when_nothing_is_usable_training_cannot_work(tmp_path):
    root = folder(tmp_path, 4)
    for path in (root / "images").iterdir():
        path.write_bytes(path.read_bytes()[:200])
    print_ = inspect(root)
    assert not print_.trainable
    assert "no-images" in kinds(print_)


def test_an_empty_folder_is_an_error(tmp_path):
    with pytest.raises(MaskwrightError):
        inspect(tmp_path)


def test_camvid():
    print_ = real("camvid")
    assert print_.splits["train"] == 367
    assert 85 <= print_.splits["val"] + print_.splits["test"] < 101  # the frames between the two are left out
    assert abs(print_.splits["val"] - print_.splits["test"]) <= 20
    assert print_.flip_vertical < 0.1
    assert print_.flip_horizontal > 0.8
    assert print_.near_duplicates > 90  # val was filmed at 15 frames a second
    assert print_.class_stats[3].name == "road"
    assert print_.class_stats[3].share == pytest.approx(0.32, abs=0.02)
    assert 0.03 < print_.ignore_share < 0.04
    assert print_.groups == 3
    found = kinds(print_)
    assert found["near-duplicate"] == found["near-duplicate-at-cut"] == 0
    assert found["sequences"] == found["sequence-cut"] == found["group-leak"] == 1


def test_cracks_are_thin_and_have_no_orientation():
    print_ = real("cracks")
    crack = print_.class_stats[1]
    assert 2 <= crack.thickness.median <= 4
    assert 0.01 < crack.share < 0.02
    assert min(print_.flip_horizontal, print_.flip_vertical) > 0.95
    assert print_.near_duplicates == 0
    assert print_.splits == {"train": 82, "val": 18, "test": 18}


def test_nuclei_are_many_small_objects():
    print_ = real("nuclei")
    nucleus = print_.class_stats[1]
    assert 8000 < nucleus.objects < 11_000
    assert 10 < nucleus.size.median < 25
    assert nucleus.thickness.median < nucleus.size.median  # a disc: 4/3 r against 1.77 r
    assert min(print_.flip_horizontal, print_.flip_vertical) > 0.95
    assert len(print_.sizes) > 5


def test_pedestrians_stand_upright():
    print_ = real("pedestrians")
    assert print_.flip_vertical < 0.85
    assert print_.flip_horizontal > 0.95
    assert 250 < print_.class_stats[1].objects < 350


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # inside pycocotools
def test_coco():
    print_ = real("coco-tiny")
    assert print_.splits["train"] == 50
    assert print_.splits["val"] + print_.splits["test"] == 50
    assert "person" in {entry.name for entry in print_.class_stats}
    assert print_.flip_vertical < print_.flip_horizontal
    assert kinds(print_)["class-in-one-split"] > 0
