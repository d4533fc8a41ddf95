from __future__ import annotations

import math

import pytest

from maskwright.core.text import (
    agree,
    compact,
    count,
    decimal,
    finite,
    listing,
    percent,
    plural,
    points,
    share,
    such_as,
)


@pytest.mark.parametrize(("value", "text"), [(0.6318, "63.2%"), (0.0, "0.0%"), (1.0, "100.0%")])
def test_percent(value: float, text: str) -> None:
    assert percent(value) == text


def test_plain_numbers() -> None:
    assert points(0.6318) == "63.2"
    assert decimal(1234.56) == "1,234.6"
    assert count(1234567) == "1,234,567"


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (640, "640"), (1000, "1k"), (1200, "1.2k"), (54321, "54k"), (1.25e6, "1.2M")]
)
def test_compact(value: float, text: str) -> None:
    assert compact(value) == text


def test_a_small_share_does_not_read_as_none() -> None:
    assert (share(0), share(0.0004), share(0.001), share(0.25)) == ("0.0%", "<0.1%", "0.1%", "25.0%")


def test_words() -> None:
    assert plural(1, "image") == "1 image"
    assert plural(1200, "class", "classes") == "1,200 classes"
    assert [agree(number, "has", "have") for number in (0, 1, 2)] == ["have", "has", "have"]
    assert listing(["a"]) == "a"
    assert listing(["a", "b"]) == "a and b"
    assert listing(["a", "b", "c"], most=3) == "a, b and c"
    assert listing(["a", "b", "c", "d"], most=2) == "a, b and 2 more"


def test_finite() -> None:
    assert finite(0.0) == 0.0
    assert finite(None) is None
    assert finite(math.nan) is None
    assert finite(math.inf) is None


def test_an_only_one_is_no_example() -> None:
    assert (such_as(1, "a.jpg"), such_as(2, "a.jpg")) == ("a.jpg", "such as a.jpg")
