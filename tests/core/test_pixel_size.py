from __future__ import annotations

import pytest

from maskwright.core.errors import MaskwrightError
from maskwright.core.pixel_size import PixelSize
from maskwright.workflows.predict_request import PredictRequest


@pytest.mark.parametrize(
    ("text", "length", "unit"),
    [
        ("0.25um", 0.25, "um"),
        (" 0.25 \N{MICRO SIGN}m", 0.25, "um"),
        (".5\N{GREEK SMALL LETTER MU}m", 0.5, "um"),
        ("30cm", 30, "cm"),
        ("1e-3 mm", 0.001, "mm"),
        ("2m", 2, "m"),
    ],
)
def test_it_is_read(text: str, length: float, unit: str) -> None:
    assert PixelSize.parse(text) == PixelSize(length, unit)
    assert PredictRequest(pixel_size=text).scale == PixelSize(length, unit)


@pytest.mark.parametrize("text", ["", "0.25", "um", "0um", "-1um", "1 inch", "1e999um", "0.25px", "nan um", "1,5um"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(MaskwrightError, match=r"it must be .*: write e\.g\. 0\.25um") as caught:
        PredictRequest(pixel_size=text)
    assert caught.value.key == "pixel_size"
    assert repr(text) in str(caught.value)
