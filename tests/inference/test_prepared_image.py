"""Sources: rows on demand are the rows of the whole prepared image, whatever its dtype and scale."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from maskwright.core.errors import MaskwrightError
from maskwright.core.plan import DataPlan
from maskwright.inference import prepared_image as module
from maskwright.inference.prepared_image import PreparedImage
from maskwright.ops.images import prepare

if TYPE_CHECKING:
    from maskwright.core.plan_data import Resizing


@pytest.mark.parametrize("resize", ["area", "bilinear"])
@pytest.mark.parametrize("scale", [1.0, 0.37, 1.6])
@pytest.mark.parametrize(("dtype", "channels"), [("uint8", 3), ("uint8", 1), ("uint16", 4), ("float32", 3)])
def test_rows_are_those_of_the_prepared_image(
    monkeypatch, dtype: str, channels: int, scale: float, resize: Resizing
) -> None:
    monkeypatch.setattr(module, "BAND", 7)
    image = (np.random.default_rng(0).random((50, 41, channels)) * 250).astype(dtype)
    data = DataPlan(scale=scale, resize=resize, value_range=None if dtype == "uint8" else [(10, 200)] * 3)
    source, whole = PreparedImage(image, data), prepare(image, data)
    assert source.size == (50, 41)
    assert source.working == whole.shape[:2]
    for start, stop in ((0, 5), (3, 18), (source.working[0] - 4, source.working[0])):
        rows = source.rows(start, stop)
        assert rows.dtype == np.uint8
        np.testing.assert_array_equal(rows, whole[start:stop])


def test_an_8_bit_image_at_its_own_scale_is_never_copied() -> None:
    image = np.zeros((40, 30, 3), np.uint8)
    assert np.shares_memory(PreparedImage(image, DataPlan()).rows(5, 20), image)


def test_grey_without_channel_axis() -> None:
    source = PreparedImage(np.full((5, 4), 9, np.uint8), DataPlan())
    assert source.rows(0, 5).tolist() == np.full((5, 4, 3), 9).tolist()


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_what_does_not_fit_the_plan_is_refused(scale: float) -> None:
    for image in (np.zeros((8, 8, 7), np.uint8), np.zeros((8, 8, 3), np.uint16)):
        with pytest.raises(MaskwrightError):
            PreparedImage(image, DataPlan(scale=scale)).rows(0, 8)
