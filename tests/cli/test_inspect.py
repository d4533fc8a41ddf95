from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from maskwright.cli.inspect import SHOWN_OF_A_KIND
from maskwright.cli.main import run
from maskwright.core.fingerprint import EdgeStats, Spread
from maskwright.core.plan import SplitPlan
from maskwright.core.records import Fault
from maskwright.data.formats import ReadOptions


def test_tables_say_what_was_measured(stand_in, fingerprint, capsys: pytest.CaptureFixture[str]) -> None:
    stand_in("maskwright.workflows.inspect", inspect=lambda *args: fingerprint())
    assert run(["inspect", "data"]) == 0
    out = capsys.readouterr().out
    for words in (
        "pairs: train/ + trainannot/, index PNG",
        "3 usable (train 2, val 1, test 0)",
        "width x height  480x360 ",
        "3.1 % of the pixels",
        "97 % left to right, 31 % upside down",
        "10 (4..30)",
        "Faults: none found",
        "Training is possible, with 3 images.",
    ):
        assert words in out, words


def test_regions_of_a_class_are_not_shown_beside_annotated_objects(
    stand_in, fingerprint, capsys: pytest.CaptureFixture[str]
) -> None:
    found = fingerprint()
    sky, rider = found.class_stats
    stand_in(
        "maskwright.workflows.inspect",
        inspect=lambda *args: replace(found, class_stats=(sky, replace(rider, objects=7, annotated=True))),
    )
    assert run(["inspect", "data"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["Sky", "16", "%", "76000", "2", "1", "0", "-", "-", "-"] in lines
    assert ["Bicyclist", "0", "%", "0", "0", "0", "0", "7", "-", "-"] in lines


@pytest.mark.parametrize(
    ("soft", "words"),
    [
        (0, "people per image: 2 (1 to 5), 1.5 % of the pixels each; 80 % of a person's edges are near another's"),
        (1, "near another's; 1 picture of shares counted as one person each"),
        (3, "edges pictures of shares in 3 images: at least half of the people marked 1.5 % of the pixels"),
    ],
)
def test_people_who_drew_edges_are_told_from_pictures_of_shares(
    soft: int, words: str, stand_in, fingerprint, capsys: pytest.CaptureFixture[str]
) -> None:
    edges = EdgeStats(3, Spread(1, 1, 2, 4, 5), 0.015, 0.8, soft)
    stand_in("maskwright.workflows.inspect", inspect=lambda *args: fingerprint(edges=edges))
    assert run(["inspect", "data"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert words in out
    assert ("of shares" in out) == (soft > 0)


def test_what_is_left_out_is_counted(stand_in, fingerprint, capsys: pytest.CaptureFixture[str]) -> None:
    stand_in("maskwright.workflows.inspect", inspect=lambda *args: fingerprint(annotated=5))
    assert run(["inspect", "data"]) == 0
    assert "3 of 5 annotated images are usable (train 2, val 1, test 0)" in capsys.readouterr().out
    stand_in("maskwright.workflows.inspect", inspect=lambda *args: fingerprint(annotated=3))
    assert run(["inspect", "data"]) == 0
    assert "3 usable (train 2" in capsys.readouterr().out


def test_one_image_is_no_images(stand_in, fingerprint, capsys: pytest.CaptureFixture[str]) -> None:
    found = fingerprint(images=1, dtypes={"uint8": 2, "uint16": 1}, near_duplicates=1)
    stand_in("maskwright.workflows.inspect", inspect=lambda *args: found)
    assert run(["inspect", "data"]) == 0
    out = capsys.readouterr().out
    assert "uint8 in 2 images, uint16 in 1 image\n" in "\n".join(line.rstrip() for line in out.splitlines()) + "\n"
    assert "1 image, kept in the same split where possible" in out
    assert "Training is possible, with 1 image." in out


@pytest.mark.parametrize("width", [30, 50, 80, 120, 200])
def test_every_width_is_kept(
    width: int, stand_in, fingerprint, fault, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    found = fingerprint(faults=(fault(),))
    stand_in("maskwright.workflows.inspect", inspect=lambda *args: found)
    assert run(["inspect", "data"]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert max(map(len, out.splitlines())) <= width


def test_faults_come_with_file_and_cure(stand_in, fingerprint, fault, capsys: pytest.CaptureFixture[str]) -> None:
    many = tuple(
        replace(fault("jpeg-mask", "warning", f"masks/{index}.jpg"), message=f"reason {index}")
        for index in range(SHOWN_OF_A_KIND + 7)
    )
    found = fingerprint(faults=(fault(), *many), groups=2, near_duplicates=4)
    stand_in("maskwright.workflows.inspect", inspect=lambda *args: found)
    assert run(["inspect", "data"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "error, unpaired: images/0007.png: the image has no mask. Cure: add masks/0007.png or remove" in out
    assert out.count("warning, jpeg-mask") == SHOWN_OF_A_KIND
    assert "and 7 more of this kind" in out
    assert "Training is possible, with 3 images; what 1 fault of severity error concerns is left out." in out
    assert "groups 2, each kept in one split where possible" in out
    assert "near-duplicates 4 images" in out


def test_what_is_alike_is_said_once(stand_in, fingerprint, capsys: pytest.CaptureFixture[str]) -> None:
    def unknown(name: str, label: int, pixels: int) -> Fault:
        message = f"{name} holds label {label} ({pixels} pixels), but the known labels are 0, 1"
        return Fault("unknown-label", "error", Path("data/masks") / name, message, f"name {label} in classes.txt")

    labels = [unknown("2.png", 2, 900), unknown("3.png", 3, 1), unknown("4.png", 2, 8), unknown("5.png", 2, 7)]
    alone = [
        Fault("unpaired", "error", Path(f"data/images/{stem}.jpg"), f"images/{stem}.jpg has no mask", "add the mask")
        for stem in "abcdefghi"
    ]
    found = fingerprint(root="data", faults=(*labels, *alone))
    stand_in("maskwright.workflows.inspect", inspect=lambda *args: found)
    assert run(["inspect", "data"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "masks/2.png holds label 2 (900 pixels), but the known labels are 0, 1. Cure: name 2 in" in out
    assert "likewise masks/4.png and masks/5.png error, unknown-label: masks/3.png holds label 3 (1 pixels)" in out
    assert out.count("has no mask") == 1
    assert "unpaired: images/a.jpg has no mask. Cure: add the mask likewise images/b.jpg, images/c.jpg," in out
    assert "images/g.jpg and 2 more" in out


def test_a_file_is_named_from_the_root_on(stand_in, fingerprint, capsys: pytest.CaptureFixture[str]) -> None:
    faults = (
        Fault("unknown-label", "error", Path("data/masks/7.png"), "7.png holds label 37", "name it"),
        Fault("one-class", "error", Path("data"), "every pixel is sky", "label more"),
    )
    stand_in("maskwright.workflows.inspect", inspect=lambda *args: fingerprint(root="data", faults=faults))
    assert run(["inspect", "data"]) == 0
    out = capsys.readouterr().out
    assert "error, unknown-label: masks/7.png holds label 37. Cure: name it" in out
    assert "error, one-class: data: every pixel is sky. Cure: label more" in out


def test_what_cannot_be_trained_on_ends_with_2(stand_in, fingerprint, capsys: pytest.CaptureFixture[str]) -> None:
    stand_in("maskwright.workflows.inspect", inspect=lambda *args: fingerprint(obstacle="no image is left. Mend some"))
    assert run(["inspect", "data"]) == 2
    assert "Training is not possible: no image is left. Mend some." in capsys.readouterr().out
    assert run(["inspect", "data", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["trainable"] is False


def test_options_reach_the_workflow(stand_in, fingerprint) -> None:
    seen = []

    def measure(root, options, split, seed, on_progress, task):
        seen.append((root, options, split, seed, task))
        on_progress(1, 2)
        return fingerprint()

    stand_in("maskwright.workflows.inspect", inspect=measure)
    line = (
        "inspect data --format voc --classes names.txt --ignore -1 --map -9999=ignore --map=-2=3 --map 3=2"
        " --group-by ^p\\d+ --seed 4 --task semantic"
    )
    assert run(line.split()) == 0
    options = ReadOptions(format="voc", classes=Path("names.txt"), ignore=-1, map={-9999: "ignore", -2: 3, 3: 2})
    assert seen == [(Path("data"), options, SplitPlan(group_by=r"^p\d+"), 4, "semantic")]


def test_cures_and_obstacles_name_options(stand_in, fingerprint, capsys: pytest.CaptureFixture[str]) -> None:
    faults = (Fault("unknown-label", "error", Path("a.png"), "label 37", "map it with `read.map` 37=ignore"),)
    found = fingerprint(faults=faults, obstacle="one class is left. Check `read.ignore`")
    stand_in("maskwright.workflows.inspect", inspect=lambda *args: found)
    assert run(["inspect", "data"]) == 2
    out = " ".join(capsys.readouterr().out.split())
    assert "Cure: map it with --map 37=ignore" in out
    assert "Training is not possible: one class is left. Check --ignore." in out
