"""The verb superpixels: images in; maps, overlays and tables out; one bad file stops nothing; no torch."""

from __future__ import annotations

import csv
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

import maskwright as mw
from maskwright.classic.drawn_regions import filled, snapped
from maskwright.classic.regions import merged
from maskwright.classic.superpixels import SUPERPIXELS
from maskwright.classic.superpixels import superpixels as divided
from maskwright.cli.main import run
from maskwright.core.errors import MaskwrightError
from maskwright.core.read_options import ReadOptions
from maskwright.data.formats import read_dataset
from maskwright.data.labels import read_label
from maskwright.data.readers import read_image
from maskwright.data.region_results import write_map
from maskwright.data.results import written_by_us
from maskwright.workflows.superpixels import SuperpixelRequest, superpixels

PAGE = (Path(__file__).parents[2] / "docs/superpixels.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Three images below `images/`: RGB, 16-bit grey, and one that is none."""
    folder = tmp_path / "images"
    (folder / "deep").mkdir(parents=True)
    noise = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (60, 90, 3), np.uint8), (0, 0), 3)
    assert cv2.imwrite(str(folder / "a.png"), noise)
    assert cv2.imwrite(str(folder / "deep/b.png"), noise[:40, :, 0].astype(np.uint16) * 100)
    (folder / "broken.jpg").write_bytes(b"no image")
    return folder


def test_every_kind_of_file_is_written(images: Path, tmp_path: Path) -> None:
    kinds = ["map", "overlay", "features"]
    result = superpixels(images, out=tmp_path / "out", count=20, save=kinds)
    names = [entry.source.name for entry in result.images]
    assert names == ["a.png", "b.png"]
    assert [failure.path.name for failure in result.failures] == ["broken.jpg"]
    for entry, stem in zip(result.images, ("a", "deep/b"), strict=True):
        assert entry.summary == {"superpixels": 20}
        assert [str(entry.files[kind].relative_to(tmp_path / "out")) for kind in kinds] == [
            f"maps/{stem}.tif",
            f"overlays/{stem}.jpg",
            f"features/{stem}.csv",
        ]
        image, labels = read_image(entry.source), tifffile.imread(entry.files["map"])
        assert labels.dtype == np.uint16
        assert (labels == divided(image, count=20)).all()
        assert read_image(entry.files["overlay"]).shape == (*labels.shape, 3)
        rows = list(csv.DictReader(entry.files["features"].read_text(encoding="utf-8").splitlines()))
        assert [int(row["area"]) for row in rows] == np.bincount(labels.ravel()).tolist()
        assert all(written_by_us(file) for file in entry.files.values())


def test_superpixels_merge_before_they_are_written(images: Path, tmp_path: Path) -> None:
    result = superpixels(images / "a.png", out=tmp_path / "out", count=20, merge=3)
    (entry,) = result.images
    assert entry.summary == {"superpixels": 3}
    image = read_image(images / "a.png")
    assert (tifffile.imread(entry.files["map"]) == merged(divided(image, count=20), image, count=3)).all()


def test_results_are_overwritten_and_other_files_are_not(images: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    save = ["map", "overlay", "features"]
    assert superpixels(images, out=out, count=9, save=save).outputs == superpixels(images, out=out, save=save).outputs
    (out / "features/a.csv").write_text("label,mine\n", encoding="utf-8")
    with pytest.raises(MaskwrightError, match=r"a\.csv exists and was not written by maskwright"):
        superpixels(images, out=out, save=save)


def test_an_image_with_too_few_pixels_is_left_out(images: Path, tmp_path: Path) -> None:
    assert cv2.imwrite(str(images / "small.png"), np.zeros((2, 3), np.uint8))
    result = superpixels([images / "small.png", images / "a.png"], out=tmp_path / "out", count=7)
    assert [entry.source.name for entry in result.images] == ["a.png"]
    assert "small.png: count is 7, but an image of 3x2 pixels can have 1 to 6" in result.failures[0].reason


@pytest.fixture
def scribbles(images: Path, tmp_path: Path) -> Path:
    """Two strokes on `deep/b.png`, in a palette PNG, and a scribble of no image."""
    drawn = np.full((40, 90), 255, np.uint8)
    drawn[5, 10:80], drawn[30, 10:40], drawn[31, 10:40] = 2, 7, 2
    picture = Image.fromarray(drawn)
    picture.putpalette(bytes(range(256)) * 3)
    (tmp_path / "scribbles/deep").mkdir(parents=True)
    for name in ("deep/b.png", "other.png"):
        picture.save(tmp_path / "scribbles" / name)
    return tmp_path / "scribbles"


def test_scribbles_spread_over_superpixels(images: Path, scribbles: Path, tmp_path: Path) -> None:
    result = superpixels(images, out=tmp_path / "out", count=40, scribbles=scribbles)
    drawn = np.asarray(Image.open(scribbles / "deep/b.png"))
    wanted = filled(divided(read_image(images / "deep/b.png"), count=40), drawn, 255)
    assert wanted.conflicts > 1
    (entry,) = result.images
    assert entry.files == {"labels": tmp_path / "out/labels/deep/b.png"}
    assert entry.summary == {"superpixels": 40, "labelled": wanted.regions, "conflicts": wanted.conflicts}
    with Image.open(entry.files["labels"]) as written, Image.open(scribbles / "deep/b.png") as before:
        assert (np.asarray(written) == wanted.labels).all()
        assert written.getpalette() == before.getpalette()
    assert result.notes == (
        f"2 images without a scribble in {scribbles} left out",
        f"1 scribble of no image given, such as {scribbles / 'other.png'}",
        f"{wanted.conflicts} superpixels have several labels, and only their drawn pixels are labelled",
    )
    assert written_by_us(entry.files["labels"])


def test_a_scribble_without_a_stroke_is_mentioned(images: Path, scribbles: Path, tmp_path: Path) -> None:
    assert cv2.imwrite(str(scribbles / "deep/b.png"), np.full((40, 90), 255, np.uint8))
    result = superpixels(images / "deep", out=tmp_path / "out", count=40, scribbles=scribbles / "deep")
    assert "1 scribble has nothing drawn, and no pixel is labelled there" in result.notes


def test_spread_scribbles_are_masks_to_train_on(images: Path, scribbles: Path, tmp_path: Path) -> None:
    superpixels(images / "deep", out=tmp_path / "out", count=40, scribbles=scribbles / "deep")
    for folder, file in (("images", images / "deep/b.png"), ("masks", tmp_path / "out/labels/b.png")):
        (tmp_path / "data" / folder).mkdir(parents=True)
        for number in range(3):
            shutil.copy(file, tmp_path / "data" / folder / f"{number}.png")
    found = read_dataset(tmp_path / "data", ReadOptions(ignore=255))
    assert len(found.classes.names) == 2
    labels = read_label(found, found.records[0], (40, 90))
    written = np.asarray(Image.open(tmp_path / "out/labels/b.png"))
    assert (labels == np.select([written == 2, written == 7], [0, 1], 255)).all()


@pytest.mark.parametrize(
    ("drawn", "words"),
    [
        (np.full((40, 91), 255, np.uint8), "is 91x40 pixels, but its image is 90x40: draw it at this size"),
        (
            np.zeros((40, 90), np.uint8),
            "no pixel of the value 255, which means that nothing is drawn: set `ignore`",
        ),
        (np.full((40, 90), 300, np.uint16), "holds values from 300 to 300: use labels from 0 to 255"),
        (np.dstack([np.eye(40, 90)] * 2 + [np.zeros((40, 90))]).astype(np.uint8), "holds colours, but a scribble has"),
    ],
)
def test_a_scribble_that_cannot_be_read_leaves_its_image_out(
    drawn: np.ndarray, words: str, images: Path, scribbles: Path, tmp_path: Path
) -> None:
    assert cv2.imwrite(str(scribbles / "deep/b.png"), drawn)
    result = superpixels(images, out=tmp_path / "out", scribbles=scribbles)
    assert result.images == ()
    assert words in result.failures[0].reason


def test_a_scribble_in_jpeg_is_refused(images: Path, scribbles: Path, tmp_path: Path) -> None:
    (scribbles / "deep/b.png").unlink()
    assert cv2.imwrite(str(scribbles / "deep/b.jpg"), np.full((40, 90), 255, np.uint8))
    result = superpixels(images, out=tmp_path / "out", scribbles=scribbles)
    assert "was compressed with loss, but a scribble has one value a label" in result.failures[0].reason


def test_one_image_has_one_scribble(images: Path, scribbles: Path, tmp_path: Path) -> None:
    shutil.copy(scribbles / "deep/b.png", scribbles / "deep/b.tif")
    with pytest.raises(MaskwrightError, match="are scribbles of one image: remove one"):
        superpixels(images, out=tmp_path / "out", scribbles=scribbles)


@pytest.mark.parametrize("largest", [3, 700])
def test_masks_snap_to_superpixels(largest: int, images: Path, tmp_path: Path) -> None:
    drawn = np.zeros((40, 90), np.uint8 if largest == 3 else np.uint16)
    cv2.circle(drawn, (30, 20), 14, 1, -1)
    cv2.circle(drawn, (65, 20), 14, largest, -1)
    (tmp_path / "masks/deep").mkdir(parents=True)
    assert cv2.imwrite(str(tmp_path / "masks/deep/b.png"), drawn)
    result = superpixels(images, out=tmp_path / "out", count=40, masks=tmp_path / "masks")
    wanted = snapped(divided(read_image(images / "deep/b.png"), count=40), drawn)
    assert set(np.unique(wanted)) == {0, 1, largest}
    (entry,) = result.images
    assert entry.files == {"labels": tmp_path / "out/labels/deep/b.png"}
    assert entry.summary == {"superpixels": 40, "changed": (wanted != drawn).sum()}
    written = cv2.imread(str(entry.files["labels"]), cv2.IMREAD_UNCHANGED)
    assert (written == wanted).all()
    assert written.dtype == drawn.dtype
    assert result.notes == (f"2 images without a mask in {tmp_path / 'masks'} left out",)


def test_a_snapped_mask_keeps_its_palette(images: Path, scribbles: Path, tmp_path: Path) -> None:
    result = superpixels(images, out=tmp_path / "out", count=40, masks=scribbles)
    with Image.open(result.outputs[0]) as written, Image.open(scribbles / "deep/b.png") as before:
        assert written.getpalette() == before.getpalette()
    assert result.notes[1] == f"1 mask of no image given, such as {scribbles / 'other.png'}"


def test_a_mask_that_cannot_be_read_leaves_its_image_out(images: Path, scribbles: Path, tmp_path: Path) -> None:
    tifffile.imwrite(scribbles / "deep/b.tif", np.full((40, 90), 70_000, np.int32))
    (scribbles / "deep/b.png").unlink()
    result = superpixels(images, out=tmp_path / "out", masks=scribbles)
    assert "b.tif holds values from 70000 to 70000: use labels from 0 to 65535" in result.failures[0].reason


@pytest.mark.parametrize("method", ["slic", "felzenszwalb"])
def test_more_regions_than_superpixels_are_a_note(method: str, images: Path, tmp_path: Path) -> None:
    result = superpixels(images / "a.png", out=tmp_path / "out", method=method, merge=5000)
    [entry] = result.images
    whole = divided(np.asarray(Image.open(images / "a.png")), method)
    assert entry.summary["superpixels"] == whole.max() + 1
    assert "1 image has fewer superpixels than 5000, and nothing was merged there" in result.notes


def test_many_superpixels_need_wide_numbers(tmp_path: Path) -> None:
    labels = np.arange(70_000, dtype=np.int32).reshape(70, 1000)
    write_map(tmp_path / "map.tif", labels)
    assert tifffile.imread(tmp_path / "map.tif").dtype == np.uint32
    assert (tifffile.imread(tmp_path / "map.tif") == labels).all()


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["--count", "0"], "maskwright: --count is 0, but it must be 1 or more: choose another --count"),
        (["--merge", "0"], "--merge is 0, but 400 superpixels can merge to 1 to 400 regions: choose another --merge"),
        (["--merge", "9", "--count", "8"], "--merge is 9, but 8 superpixels can merge to 1 to 8 regions"),
        (["--merge", "0", "--method", "slic"], "--merge is 0, but it must be 1 or more: choose another --merge"),
        (["--method", "felzenszwalb", "--count", "7"], "--count is 7, but felzenszwalb finds the number itself: leave"),
        (["--compactness", "-1"], "maskwright: --compactness is -1.0, but it must be within 0.."),
        (["--method", "slik"], "--method slik: unknown method 'slik': did you mean 'slic'?"),
        (["--save", "labels"], "are what scribbles or masks become, and there are none: give --scribbles or --masks,"),
        (["--masks", ".", "--scribbles", "."], "both --scribbles and --masks are given, but an image has one file of"),
        (["--masks", ".", "--save", "map"], "and they would have no effect: add labels"),
        (["--masks", "nowhere"], "nowhere is not a folder: give the folder of the masks"),
        (["--masks", "{empty}"], "and none is the mask of an image: give each the path and name of its image"),
        (["--scribbles", ".", "--save", "map"], "and they would have no effect: add labels"),
        (["--ignore", "256"], "maskwright: --ignore is 256, but the values of scribbles are 0 to 255"),
        (["--ignore", "0"], "--ignore is 0, but it is a value of scribbles, and there are none: give --scribbles, or"),
        (["--masks", ".", "--ignore", "255"], "--ignore is 255, but it is a value of scribbles, and there are none"),
        (["--scribbles", "nowhere"], "nowhere is not a folder: give the folder of the scribbles"),
        (["--scribbles", "{empty}"], "and none is the scribble of an image: give each the path and name of its image"),
        (["--save", "maps"], "--save maps: unknown kind of file 'maps': did you mean 'map'?"),
        (["--method", "felzenszwalb", "--compactness", "2"], "felzenszwalb has none: use --compactness 1, or choose"),
    ],
)
def test_wrong_options_are_refused_once(
    words: list[str], answer: str, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    words = [word.format(empty=tmp_path / "empty") for word in words]
    assert run(["superpixels", str(images), "--out", str(tmp_path / "out"), *words]) == 2
    assert answer in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()


def test_keywords_are_checked(images: Path) -> None:
    with pytest.raises(MaskwrightError, match="unknown keyword 'counts': did you mean 'count'"):
        superpixels(images, counts=3)
    with pytest.raises(MaskwrightError, match="both a request and count are given"):
        superpixels(images, SuperpixelRequest(), count=3)
    with pytest.raises(MaskwrightError, match="`save` is empty"):
        SuperpixelRequest(save=())
    with pytest.raises(MaskwrightError, match="does not exist"):
        superpixels("nowhere")


def test_json_has_files_and_failures(images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["superpixels", str(images), "--out", str(tmp_path / "out"), "--count", "5", "--json"]) == 2
    answer = json.loads(capsys.readouterr().out)
    assert [image["summary"] for image in answer["images"]] == [{"superpixels": 5}] * 2
    assert len(answer["failures"]) == 1


def test_no_torch_is_imported(images: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from maskwright.cli.main import run; "
        f"assert run(['superpixels', {str(images / 'a.png')!r}, '--out', {str(tmp_path / 'out')!r}]) == 0; "
        "import maskwright; maskwright.superpixels; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_the_help_names_every_method(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["superpixels", "--help"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in SUPERPIXELS)
    assert all(f"| `{name}` |" in PAGE for name in SUPERPIXELS)


def test_the_page_runs(images: Path, scribbles: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (images / "broken.jpg").unlink()
    shutil.copytree(scribbles, tmp_path / "masks")
    monkeypatch.chdir(tmp_path)
    for command in "".join(blocks("sh")).splitlines():
        program, *arguments = shlex.split(command)
        assert program == "maskwright"
        assert run(arguments) == 0, command
    for code in blocks("python"):
        exec(compile(code.replace("photo.jpg", "images/a.png"), "superpixels.md", "exec"), {})
    assert (tmp_path / "superpixels/features/a.csv").is_file()


def test_python_offers_the_verb() -> None:
    assert mw.superpixels is superpixels


def test_arrays_are_sources_too(images: Path, tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3)).astype(np.uint8)
    first = sorted(images.rglob("*.png"))[0]
    mixed = superpixels([image, first], out=tmp_path / "mixed", count=7)
    assert [file.name for file in mixed.outputs] == [f"{first.stem}.tif", "array-1.tif"]
    (written,) = superpixels(image, out=tmp_path / "one", count=7).outputs
    np.testing.assert_array_equal(tifffile.imread(written), divided(image, count=7))
    with pytest.raises(MaskwrightError, match="a source is of type int, and it must be a path"):
        superpixels(3, out=tmp_path / "none")  # type: ignore[arg-type]


def test_a_file_in_the_place_of_a_folder_is_named(images: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/maps").write_text("mine")
    with pytest.raises(MaskwrightError, match=r"out/maps is a file. Choose another `out`"):
        superpixels(images, out=tmp_path / "out")
    assert (tmp_path / "out/maps").read_text() == "mine"
