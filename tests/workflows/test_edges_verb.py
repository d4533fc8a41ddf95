"""The verb `edges`: what it writes, what it leaves out, and that it loads no torch."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

import maskwright as mw
from maskwright.classic.edges import EDGES
from maskwright.cli.main import run
from maskwright.core.errors import MaskwrightError
from maskwright.data.results import MARK, written_by_us
from maskwright.workflows.edges import KINDS, EdgesRequest
from maskwright.workflows.predict_parts.sources import find_images

EVERYTHING = tuple(KINDS)
workflow = import_module("maskwright.workflows.edges")  # the package has a function of this name


def stepped(place: float = 20.3) -> np.ndarray:
    """A grey image (40, 50) with a step from 0 to 255 at x = `place`."""
    covered = np.clip(np.arange(1, 51) - place, 0, 1)
    return np.tile(np.round(255 * covered).astype(np.uint8), (40, 1))


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    (folder / "more").mkdir(parents=True)
    Image.fromarray(stepped()).save(folder / "grey.png")
    Image.fromarray(np.repeat(stepped(31)[..., None], 3, 2)).save(folder / "more" / "rgb.png")
    return folder


def test_every_kind_is_written_at_its_place(images: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = mw.edges([images], EdgesRequest(save=EVERYTHING), out=out)
    assert not result.failures
    written = {file.relative_to(out).as_posix() for file in result.outputs}
    assert written == {
        f"{folder}/{name}{suffix}" for name in ("grey", "more/rgb") for folder, suffix, _ in KINDS.values()
    }
    assert written == {file.relative_to(out).as_posix() for file in out.rglob("*.*")}
    assert all(written_by_us(file) for file in result.outputs)
    assert result.images[0].summary["pixels"] >= 38


def test_the_files_hold_the_edges(images: Path, tmp_path: Path) -> None:
    (one,) = mw.edges([images / "grey.png"], EdgesRequest(save=EVERYTHING), out=tmp_path / "out").images
    thin = np.asarray(Image.open(one.files["thin"]))
    assert (thin.dtype, thin.shape, set(np.unique(thin))) == (np.uint8, (40, 50), {0, 255})
    assert (thin > 0).sum(axis=1).tolist() == [1] * 40
    strength = np.asarray(Image.open(one.files["strength"]))
    assert (strength.dtype, strength.shape) == (np.uint16, (40, 50))
    assert strength.max() == pytest.approx(65535, rel=0.05)
    overlay = np.asarray(Image.open(one.files["overlay"]).convert("RGB")).astype(int)
    assert overlay.shape == (40, 50, 3)
    assert (overlay[..., 0] - overlay[..., 2])[20].argmax() == thin[20].argmax()


def test_lines_are_measured_between_pixels(images: Path, tmp_path: Path) -> None:
    (one,) = mw.edges([images / "grey.png"], EdgesRequest(save=EVERYTHING), out=tmp_path / "out").images
    collection = json.loads(one.files["geojson"].read_text(encoding="utf-8"))
    assert collection["generator"] == MARK
    (feature,) = collection["features"]
    points = np.array(feature["geometry"]["coordinates"])
    assert np.median(points[:, 0]) == pytest.approx(20.3, abs=0.1)
    assert (points[0, 1], points[-1, 1]) == (0.5, 39.5)
    assert feature["geometry"]["type"] == "LineString"
    assert feature["properties"]["length"] == pytest.approx(39, abs=0.5)
    assert feature["properties"]["closed"] is False
    assert feature["properties"]["strength"] == pytest.approx(0.98, abs=0.03)
    drawing = ElementTree.parse(one.files["svg"]).getroot()
    assert drawing.get("viewBox") == "0 0 50 40"
    (line,) = drawing.iter("{http://www.w3.org/2000/svg}polyline")
    assert [[float(part) for part in pair.split(",")] for pair in line.get("points").split()] == points.tolist()


@pytest.mark.parametrize("method", sorted(EDGES))
def test_lines_have_the_strength_of_the_map(method: str, images: Path, tmp_path: Path) -> None:
    request = EdgesRequest(method=method, save=EVERYTHING)
    (one,) = mw.edges([images / "grey.png"], request, out=tmp_path / "out").images
    strength = np.asarray(Image.open(one.files["strength"])) / 65535
    thin = np.asarray(Image.open(one.files["thin"])) > 0
    (feature,) = json.loads(one.files["geojson"].read_text(encoding="utf-8"))["features"]
    assert feature["properties"]["strength"] == pytest.approx(strength[thin].mean(), abs=1e-3)


def test_a_file_that_cannot_be_read_is_left_out(images: Path, tmp_path: Path) -> None:
    (images / "broken.png").write_bytes(b"no image")
    Image.fromarray(stepped()).save(images / ("n" * 250 + ".png"))
    result = mw.edges([images, images / "gone.png"], EdgesRequest(save=("geojson",)), out=tmp_path / "out")
    assert [image.source.name for image in result.images] == ["grey.png", "rgb.png"]
    reasons = {failure.path.name: failure.reason for failure in result.failures}
    assert "does not exist" in reasons["gone.png"]
    assert "broken.png" in reasons["broken.png"]
    assert "too long" in reasons["n" * 250 + ".png"]


@pytest.mark.parametrize("where", ["find_edges", "traced"])
def test_an_image_that_needs_too_much_memory_is_left_out(
    where: str, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = getattr(workflow, where)
    full = [cv2.error("OpenCV: error: (-4:Insufficient memory) Failed to allocate 9 TB in function 'OutOfMemoryError'")]

    def starved(*arguments: object) -> object:
        if full:
            raise full.pop()
        return work(*arguments)

    request = EdgesRequest(save="svg")
    monkeypatch.setattr(workflow, where, starved)
    result = mw.edges([images], request, out=tmp_path / "out")
    assert [image.source.name for image in result.images] == ["rgb.png"]
    (failure,) = result.failures
    assert failure.reason.startswith(f"{images / 'grey.png'} needs more memory than is free: cut it into parts (OpenCV")
    full.append(cv2.error("OpenCV: error: (-215:Assertion failed)"))
    with pytest.raises(cv2.error, match="Assertion"):
        mw.edges([images], request, out=tmp_path / "out")


def test_foreign_files_are_not_overwritten_and_own_ones_are(images: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for _ in range(2):
        assert not mw.edges([images], EdgesRequest(save=EVERYTHING), out=out).failures
    assert find_images([out]).pictures == []
    (out / "edges" / "grey.png").write_bytes(b"mine")
    with pytest.raises(MaskwrightError, match="not overwritten: choose another `out`"):
        mw.edges([images], EdgesRequest(), out=out)
    assert (out / "edges" / "grey.png").read_bytes() == b"mine"


def test_pages_bands_and_missing_values(tmp_path: Path) -> None:
    pages = np.stack([stepped(10.3), stepped(30.3)]).astype(np.float32)
    pages[0, 5:10, 30:40] = np.nan
    tifffile.imwrite(tmp_path / "stack.tif", pages, photometric="minisblack")
    np.save(tmp_path / "bands.npy", np.repeat(stepped()[..., None].astype(np.uint16) * 16, 7, axis=2))
    result = mw.edges(
        [tmp_path / "stack.tif", tmp_path / "bands.npy"], EdgesRequest(save=EVERYTHING), out=tmp_path / "out"
    )
    assert not result.failures
    assert [image.page for image in result.images] == [0, 1, None]
    for image in result.images:
        assert (np.asarray(Image.open(image.files["thin"])) > 0).sum(axis=1).tolist() == [1] * 40


def test_a_constant_image_has_files_without_edges(tmp_path: Path) -> None:
    Image.fromarray(np.full((9, 9), 80, np.uint8)).save(tmp_path / "flat.png")
    result = mw.edges([tmp_path / "flat.png"], EdgesRequest(save=EVERYTHING), out=tmp_path / "out")
    (one,) = result.images
    assert one.summary == {"pixels": 0, "strongest": 0.0, "low": 0.5, "high": 1.0}
    assert json.loads(one.files["geojson"].read_text(encoding="utf-8"))["features"] == []
    assert list(ElementTree.parse(one.files["svg"]).getroot().iter("{http://www.w3.org/2000/svg}polyline")) == []


def test_a_note_gives_the_reason_why_an_image_has_no_edge(tmp_path: Path) -> None:
    drawn = {"faint": stepped() * 0.2, "flat": np.full((40, 50), 80), "corner": np.array([[50, 50], [50, 255]])}
    for name, image in drawn.items():
        Image.fromarray(image.astype(np.uint8)).save(tmp_path / f"{name}.png")
    flat = "(flat.png): constant, without a known value, or too small or smooth for this `sigma` and `method`"
    automatic, given = (mw.edges([tmp_path], out=tmp_path / "out", **values).notes for values in ({}, {"high": 0.5}))
    single = "(corner.png): single pixels are no lines; the image may be too small, or `sigma` too large"
    below = "no line of two pixels reaches the thresholds; lower `high` and `low`, or leave them out"
    assert automatic == tuple(f"no edge was found in 1 image {words}" for words in (single, flat))
    assert given == (
        f"no edge was found in 2 images (corner.png and faint.png): {below}",
        f"no edge was found in 1 image {flat}",
    )
    assert mw.edges([tmp_path / "corner.png"], out=tmp_path / "out", method="scharr").notes == ()


def test_videos_and_cameras_are_refused(images: Path, tmp_path: Path) -> None:
    (tmp_path / "film.mp4").write_bytes(b"0000")
    result = mw.edges([images, tmp_path / "film.mp4", "camera:0"], out=tmp_path / "out")
    assert result.images
    reason = "is a video, and only images can be used: save frames of it as images, and name those"
    assert [failure.reason for failure in result.failures] == [
        f"{tmp_path / 'film.mp4'} {reason}",
        f"camera:0 {reason}",
    ]
    with pytest.raises(MaskwrightError, match="camera:0 is a video"):
        mw.edges("camera:0", out=tmp_path / "out")


def test_enhancement_comes_before_the_edges(images: Path, tmp_path: Path) -> None:
    faint = (stepped() * 0.2).astype(np.uint8)
    Image.fromarray(faint).save(images / "faint.png")
    strengths = []
    for enhance in (None, "unsharp"):
        request = EdgesRequest(save="strength", enhance=enhance, method="sobel")
        (one,) = mw.edges([images / "faint.png"], request, out=tmp_path / str(enhance)).images
        strengths.append(np.asarray(Image.open(one.files["strength"])).max() / 65535)
    assert strengths[0] == pytest.approx(0.2, abs=0.01)
    assert strengths[1] > 0.24


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"method": "gabor"}, "unknown edge method 'gabor'. Available: canny"),
        ({"enhance": "guide"}, "unknown edge enhancement 'guide': did you mean 'guided'"),
        ({"save": ["thin", "png"]}, "unknown kind of file 'png'"),
        ({"sigma": 1000.0}, "`sigma` is 1000, and it must be a number from 0 to 100"),
        ({"low": 2.0}, "`low` is 2, and it must be above 0, and 1 at most"),
    ],
)
def test_a_request_refuses_wrong_values(fields: dict, words: str) -> None:
    with pytest.raises(MaskwrightError) as caught:
        EdgesRequest(**fields)
    assert words in str(caught.value)


def test_the_verb_in_python(images: Path, tmp_path: Path) -> None:
    result = mw.edges(images / "grey.png", out=tmp_path / "out", method="canny", save="svg, thin")
    assert [file.name for file in result.outputs] == ["grey.svg", "grey.png"]
    with pytest.raises(MaskwrightError, match="unknown keyword 'metod': did you mean 'method'"):
        mw.edges(images, metod="canny")
    with pytest.raises(MaskwrightError, match="no image was given: name files or folders"):
        mw.edges([])


def test_the_command_line(images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    words = [
        "edges",
        str(images),
        "--out",
        str(out),
        "--save",
        "thin,svg",
        "--method",
        "canny",
        "--low",
        "0.1",
        "--json",
    ]
    assert run(words) == 0
    document = json.loads(capsys.readouterr().out)
    assert [Path(file).name for file in document["outputs"]] == ["grey.png", "grey.svg", "rgb.png", "rgb.svg"]
    assert document["images"][0]["summary"]["low"] == 0.1
    (images / "broken.png").write_bytes(b"no image")
    assert run(["edges", str(images), "--out", str(out)]) == 2
    shown = capsys.readouterr()
    assert "left out: " in shown.err
    assert "2 images done" in shown.out
    assert run(["edges", str(images), "--sigma", "-1"]) == 2
    assert "--sigma is -1, and it must be a number from 0 to 100" in capsys.readouterr().err


def test_no_torch_is_loaded(images: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from maskwright.cli.main import run; "
        f"assert run(['edges', {str(images)!r}, '--out', {str(tmp_path / 'out')!r}]) == 0; "
        "print(sorted({'torch', 'timm', 'skimage'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
