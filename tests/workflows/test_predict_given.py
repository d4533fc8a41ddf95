"""Sources of a prediction besides files and folders: lists, standard input, arrays."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from tests.data.layouts import write

import maskwright
from maskwright import models
from maskwright.cli.main import run as terminal
from maskwright.core.classes import Classes
from maskwright.core.errors import MaskwrightError
from maskwright.core.plan import DataPlan, ModelPlan, PredictPlan
from maskwright.models import bundle
from maskwright.models.bundle import Card, CardClasses
from maskwright.workflows.predict_parts.sources import find_images

if TYPE_CHECKING:
    from numpy.typing import NDArray

pytestmark = pytest.mark.usefixtures("one_thread")

SHADE = np.zeros((4, 5), np.uint8)


def found(source: Path) -> tuple[list[str], list[str]]:
    """Return the names of the pictures of a source, and the reasons of what failed."""
    result = find_images([source])
    return [str(picture.name) for picture in result.pictures], [reason for _, reason in result.failures]


def test_a_list_names_files_folders_and_globs_relative_to_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("data/day1/a.png", "data/day2/b.png", "data/day2/c.png", "else/d.png"):
        write(tmp_path / name, SHADE)
    text = f"# night\r\n\r\n day1/a.png \r\n./day2/*.png\r\nday1\r\n{tmp_path / 'else' / 'd.png'}\r\n"
    (tmp_path / "data" / "list.TXT").write_text("﻿" + text, encoding="utf-8")
    monkeypatch.chdir(tmp_path / "else")
    assert found(tmp_path / "data" / "list.TXT") == (["day1/a", "b", "c", "d"], [])
    assert found(Path("../data/list.TXT")) == (["day1/a", "b", "c", "d"], [])


def test_a_bad_line_is_a_failure_with_its_number_and_the_others_are_predicted(tmp_path: Path) -> None:
    write(tmp_path / "a.png", SHADE)
    (tmp_path / "list.txt").write_text("a.png\n# none\ngone.png\nx*.png\n")
    names, reasons = found(tmp_path / "list.txt")
    assert names == ["a"]
    assert [reason.split(": ")[:2] for reason in reasons] == [
        [f"{tmp_path}/list.txt, line 3", f"{tmp_path}/gone.png does not exist"],
        [f"{tmp_path}/list.txt, line 4", f"{tmp_path}/x*.png matches no image"],
    ]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\n# nothing\n", "is a list without any path: write one image, folder or glob a line"),
        (b"hello\nworld\n", "none of its 2 lines names a file; line 1 is 'hello'"),
        (b"a.png\n\xff\xfe\n", "is not UTF-8 text"),
        (cv2.imencode(".png", SHADE)[1].tobytes(), "is not UTF-8 text"),
    ],
)
def test_a_file_that_is_no_list_is_one_failure(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "list.txt").write_bytes(content)
    names, reasons = found(tmp_path / "list.txt")
    assert names == []
    (reason,) = reasons
    assert words in reason


def test_a_list_is_not_an_image_of_its_folder(tmp_path: Path) -> None:
    write(tmp_path / "a.png", SHADE)
    (tmp_path / "list.txt").write_text("gone.png\n")
    assert found(tmp_path) == (["a"], [])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small untrained network."""
    torch.manual_seed(3)
    card = Card(
        model=ModelPlan(name="swiftnet"),
        classes=CardClasses.of(Classes(("sky", "leaf"), ((0, 0, 0), (20, 200, 40)))),
        data=DataPlan(),
        predict=PredictPlan(tile=(64, 64)),
    )
    run = tmp_path_factory.mktemp("run")
    bundle.save(run / "model.safetensors", models.create("swiftnet", classes=2), card)
    return run


def photograph(seed: int = 0) -> NDArray[np.uint8]:
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 50, 3), np.uint8)
    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), 2))


class Pipe(io.TextIOWrapper):
    """Standard input with some bytes."""

    def __init__(self, content: bytes) -> None:
        super().__init__(io.BytesIO(content))


def test_an_image_on_standard_input(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(photograph()).save(path)
    monkeypatch.setattr(sys, "stdin", Pipe(path.read_bytes()))
    line = ["predict", str(run), "-", "--save", "mask,overlay", "--device", "cpu", "--out", str(tmp_path / "out")]
    assert terminal(line) == 0
    expected = maskwright.load(run, "cpu").predict(path).labels
    np.testing.assert_array_equal(np.array(Image.open(tmp_path / "out" / "masks" / "stdin.png")), expected)
    assert (tmp_path / "out" / "overlays" / "stdin.jpg").exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "stdin is empty (0 bytes)"), (b"hello", "stdin is not an image: it starts with b'hello'")],
)
def test_standard_input_without_an_image(
    content: bytes, words: str, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(sys, "stdin", Pipe(content))
    assert terminal(["predict", str(run), "-", "--device", "cpu", "--out", str(tmp_path / "out")]) == 2
    assert f"left out: {words}" in " ".join(capfd.readouterr().err.split())


def test_standard_input_is_read_once_and_never_from_a_terminal(
    run: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    assert terminal(["predict", str(run), "-", "-"]) == 2
    pipe = Pipe(b"")
    monkeypatch.setattr(pipe, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdin", pipe)
    assert terminal(["predict", str(run), "-"]) == 2
    said = " ".join(capfd.readouterr().err.split())
    assert "- is given twice" in said
    assert "pipe an image into it" in said


def test_arrays_are_predicted_like_files(run: Path, tmp_path: Path) -> None:
    write(tmp_path / "array-2.png", photograph(2))
    images = [photograph(0), str(tmp_path / "array-2.png"), photograph(1)[:, :, 0]]
    result = maskwright.predict(run, images, out=tmp_path / "out", device="cpu", save=["mask", "coco"])
    assert result.failures == []
    model = maskwright.load(run, "cpu")
    names = {"array-1": images[0], "array-2": images[1], "array-3": images[2]}
    assert sorted(path.stem for path in (tmp_path / "out" / "masks").iterdir()) == sorted(names)
    for name, image in names.items():
        written = np.array(Image.open(tmp_path / "out" / "masks" / f"{name}.png"))
        np.testing.assert_array_equal(written, model.predict(image).labels)
    one = maskwright.predict(run, images[0], out=tmp_path / "one", device="cpu")
    assert one.outputs == (tmp_path / "one" / "masks" / "array-1.png",)


def test_an_array_never_takes_the_name_of_a_file(run: Path, tmp_path: Path) -> None:
    write(tmp_path / "Array-2.png", photograph(2))
    images = [str(tmp_path / "Array-2.png"), photograph(0)]
    result = maskwright.predict(run, images, out=tmp_path / "out", device="cpu")
    assert [path.name for path in result.outputs] == ["Array-2.png", "array-2.2.png"]


def test_what_is_no_image_is_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(MaskwrightError, match="of type Image, and it must be a path"):
        maskwright.predict(run, [Image.new("RGB", (4, 4))], out=tmp_path)
    result = maskwright.predict(run, [np.zeros((2, 3, 4, 5)), photograph()], out=tmp_path, device="cpu")
    ((_, reason),) = [(failure.path, failure.reason) for failure in result.failures]
    assert reason.startswith("array-1: the image has the shape (2, 3, 4, 5), but an image is an array")
    assert len(result.images) == 1
