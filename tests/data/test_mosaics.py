import itertools

import cv2
import numpy as np
import pytest

from maskwright.core.errors import MaskwrightError
from maskwright.core.seeds import generator
from maskwright.data import mosaics
from maskwright.data.formats import read_dataset
from maskwright.data.labels import read_pair
from maskwright.data.mosaics import TEXTURES, mosaic, photograph, write_mosaics

pytest.importorskip("skimage")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo") / "mosaics"
    write_mosaics(folder, 1, train=3, val=1, test=2, size=64)
    return folder


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_files(folder):
    assert sorted(contents(folder)) == sorted(
        ["classes.txt"]
        + [
            f"{kind}/{split}/mosaic_00{number}.png"
            for kind in ("images", "masks")
            for split, count in (("train", 3), ("val", 1), ("test", 2))
            for number in range(count)
        ]
    )


def test_the_reader_understands_them(folder):
    dataset = read_dataset(folder)
    assert dataset.classes.names == tuple(texture.name for texture in TEXTURES)
    assert [len(dataset.part(split)) for split in ("train", "val", "test")] == [3, 1, 2]
    assert not dataset.faults
    for record in dataset.records:
        image, labels = read_pair(dataset, record)
        assert image.shape == (64, 64, 1)
        assert 2 <= len(np.unique(labels)) <= 5
        assert labels.max() < len(TEXTURES)


def test_the_same_seed_writes_the_same_files_and_another_does_not(folder, tmp_path):
    write_mosaics(tmp_path / "again", 1, train=3, val=1, test=2, size=64)
    assert contents(tmp_path / "again") == contents(folder)
    write_mosaics(tmp_path / "other", 2, train=1, val=1, test=1, size=64)
    other = contents(tmp_path / "other")
    assert other["images/test/mosaic_000.png"] != contents(folder)["images/test/mosaic_000.png"]


def test_tone_gives_no_class_away():
    for texture in TEXTURES:
        pixels = photograph(texture)
        assert min(pixels.shape) > 150
        # Galaxies are white dots on black: clipping takes some of their spread.
        assert pixels.mean() == pytest.approx(mosaics.MEAN, abs=4)
        assert pixels.std() == pytest.approx(mosaics.SPREAD, rel=0.35)


def test_the_strips_of_the_splits_share_no_column():
    strips = sorted(mosaics.STRIPS.values())
    assert all(end < start for (_, end), (start, _) in itertools.pairwise(strips))


def test_masks_are_exact():
    # A strip of one tone gives every part of a region one tone, drawn afresh: the mask can be checked pixel by pixel.
    strips = [np.full((40, 40), 10, np.uint8) for _ in TEXTURES]
    for key in range(6):
        image, labels = mosaic(strips, 48, generator(0, key))
        tones = []
        for index in np.unique(labels):
            count, parts = cv2.connectedComponents((labels == index).astype(np.uint8))
            tones += [np.unique(image[parts == part]).tolist() for part in range(1, count)]
        assert all(len(tone) == 1 for tone in tones)
        assert len({tone[0] for tone in tones}) > len(tones) / 2


def test_a_folder_with_something_in_it_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(MaskwrightError, match="not empty"):
        write_mosaics(tmp_path)
    with pytest.raises(MaskwrightError, match="not empty"):
        write_mosaics(tmp_path / "mine.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_without_scikit_image_the_cure_is_named_and_nothing_written(tmp_path, monkeypatch):
    monkeypatch.setattr(mosaics, "find_spec", lambda name: None)
    with pytest.raises(MaskwrightError, match="pip install --force-reinstall scikit-image"):
        write_mosaics(tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_release_without_the_photograph_is_named():
    with pytest.raises(MaskwrightError, match=r"has no gone\.png"):
        photograph(mosaics.Texture("gone", "gone.png"))
