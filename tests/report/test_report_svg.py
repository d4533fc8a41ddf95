from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskwright.report.svg import Scale, nice_ticks, number, path, picture, tag


def test_a_tag_writes_its_attributes_in_svg_s_spelling() -> None:
    assert (
        tag("path", class_="line", stroke_width=2, d="M0 0", id=None)
        == '<path class="line" stroke-width="2" d="M0 0"/>'
    )


def test_plain_text_is_escaped_and_markup_is_not_escaped_twice() -> None:
    inner = tag("title", "a<b & c")
    assert inner == "<title>a&lt;b &amp; c</title>"
    assert tag("g", inner) == f"<g>{inner}</g>"
    assert tag("text", id='"><script>') == '<text id="&quot;&gt;&lt;script&gt;"/>'


def test_a_picture_says_what_it_shows() -> None:
    drawn = picture(10, 20.5, "one < two", class_="chart")
    assert drawn.startswith('<svg viewBox="0 0 10 20.5" width="10" height="20.5" class="chart" role="img">')
    assert "<title>one &lt; two</title>" in drawn


@pytest.mark.parametrize(("value", "text"), [(1.0, "1"), (1.234, "1.23"), (-0.001, "0"), (10.5, "10.5"), (100, "100")])
def test_coordinates_are_short(value: float, text: str) -> None:
    assert number(value) == text


def test_points_of_a_polyline() -> None:
    assert path([(0, 1.5), (2, 3)]) == "0,1.5 2,3"


def test_a_scale_is_a_straight_line_that_holds_values_inside() -> None:
    scale = Scale(0, 10, 100, 0)
    assert [scale(0), scale(5), scale(10), scale(20), scale(-5)] == [100, 50, 0, 0, 100]


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0, 0.54, [0, 0.2, 0.4, 0.6]),
        (0, 1000, [0, 200, 400, 600, 800, 1000]),
        (-3, 4, [-4, -2, 0, 2, 4]),
        (0, 0, [-0.6, -0.4, -0.2, 0, 0.2, 0.4, 0.6]),
    ],
)
def test_ticks_are_round(low: float, high: float, ticks: list[float]) -> None:
    assert nice_ticks(low, high) == ticks


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_ticks_enclose_what_they_are_for(low: float, span: float) -> None:
    ticks = nice_ticks(low, low + span)
    step = ticks[1] - ticks[0]
    assert ticks[0] <= low + step * 1e-6
    assert ticks[-1] >= low + span - step * 1e-6
    assert 2 <= len(ticks) <= 8
