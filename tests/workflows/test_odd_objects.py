"""Images without an object and objects of one pixel teach every family of networks, and count in every score."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from tests.workflows import toy_data as toy
from tests.workflows.squares import picture
from tests.workflows.test_mask2former import SETTINGS as QUERIES
from tests.workflows.test_maskrcnn import SETTINGS as REGIONS

import maskwright
from maskwright.workflows.request import PlanRequest
from maskwright.workflows.train import train

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

MAPS = ("model.backbone=compact", "model.pretrained=false", "model.options={widths: [8, 8, 8, 8]}", *REGIONS[3:])


def dots(seed: int) -> NDArray[np.uint8]:
    """Return the ids of 20 objects of one pixel."""
    places = np.random.default_rng(seed).choice(96 * 96, 20, replace=False)
    ids = np.zeros(96 * 96, np.uint8)
    ids[places] = np.arange(1, 21)
    return ids.reshape(96, 96)


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """In training, two images without an object, two of dots and two of squares; in the test, one of each."""
    root = tmp_path_factory.mktemp("odd")
    for split, count in (("train", 6), ("val", 3), ("test", 3)):
        for number in range(count):
            image, squares = picture(number + 10 * len(split))
            ids = (np.zeros_like(squares), dots(number), squares)[number % 3]
            for folder, array in (("images", image), ("instances", ids)):
                path = root / split / folder / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                assert cv2.imwrite(str(path), array)
    return root


@pytest.mark.parametrize(
    ("model", "settings"),
    [
        pytest.param("unet", MAPS, id="maps"),
        pytest.param("maskrcnn", REGIONS, id="regions"),
        pytest.param("mask2former", QUERIES, id="queries"),
    ],
)
def test_they_are_learnt_and_scored(odd: Path, tmp_path: Path, model: str, settings: tuple[str, ...]) -> None:
    wanted = PlanRequest(steps=3, settings=settings, task="instance", model=model, device="cpu")
    run = train(odd, wanted, tmp_path / "run").run
    assert all(np.isfinite(values).all() for values in toy.tensors(run / "model.safetensors").values())
    scores = maskwright.evaluate(run, odd).scores
    assert [entry.id for entry in scores.per_image] == [f"test/images/{number}.png" for number in range(3)]
    assert scores.objects is not None
    there = [true for true, _ in scores.objects.counts]
    assert there == [0, 20, len(np.unique(picture(2 + 10 * len("test"))[1])) - 1]
    assert all(scores.mean[key].value is not None for key in ("f1", "cell_ap", "mask_ap", "count_error"))
