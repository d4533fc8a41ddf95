from __future__ import annotations

import re
from dataclasses import replace

import pytest
from tests.report.report_samples import Page

from maskwright.report.charts import (
    Axis,
    Series,
    interval_bar,
    interval_scale,
    line_chart,
    reliability,
    scatter,
    share_bar,
    stacked_bars,
)

PLAIN = Axis(0, 10, str), Axis(0, 1, str)


def polylines(svg: str) -> list[str]:
    return re.findall(r'<polyline class="([^"]*)" points="([^"]*)"', svg)


def test_a_line_runs_from_corner_to_corner() -> None:
    """The plot spans x 46..348 and y 184..26 (y grows downward)."""
    svg = line_chart("t", [Series(((0, 0.0), (10, 1.0)))], *PLAIN)
    assert polylines(svg) == [("line strong", "46,184 348,26")]


def test_the_label_of_the_upward_axis_is_above_all_lines() -> None:
    svg = line_chart("t", [Series(((0, 0.0), (10, 1.0)))], PLAIN[0], replace(PLAIN[1], label="IoU"))
    (label,) = [entry for entry in Page(svg).all("text") if entry["class"] == "axis-label" and entry["x"] == "4"]
    assert float(label["y"]) < 26


def test_a_missing_value_breaks_the_line() -> None:
    points = ((0, 0.0), (2.5, 0.0), (5, None), (7.5, 1.0), (10, 1.0))
    svg = line_chart("t", [Series(points, "faint")], *PLAIN)
    assert polylines(svg) == [("line faint", "46,184 121.5,184"), ("line faint", "272.5,26 348,26")]


def test_what_lies_outside_is_drawn_at_the_edge() -> None:
    svg = line_chart("t", [Series(((0, 0.0), (10, 5.0)))], *PLAIN)
    assert polylines(svg) == [("line strong", "46,184 348,26")]


def test_a_dotted_line_has_its_dots_and_its_ring() -> None:
    svg = line_chart("t", [Series(((5, 0.5),), "dotted")], *PLAIN, mark=(5, 0.5))
    assert polylines(svg) == []
    circles = Page(svg).all("circle")
    assert [(c["class"], c["cx"], c["cy"]) for c in circles] == [("point", "197", "105"), ("ring", "197", "105")]


def test_the_axes_carry_round_numbers() -> None:
    svg = line_chart("t", [], Axis(0, 10, lambda v: f"x{v:g}", "step"), Axis(0, 0.9, lambda v: f"y{v:g}"))
    text = Page(svg).text
    assert "y0 y0.2 y0.4 y0.6 y0.8 y1" in text
    assert "x0 x2 x4 x6 x8 x10 step" in text


def test_one_step_alone_can_be_drawn() -> None:
    Page(line_chart("t", [Series(((1, 0.5),), "dotted")], Axis(1, 1, str), PLAIN[1]))


def test_an_interval_bar_by_hand() -> None:
    """The track runs from 2 to 74: 72 pixels a unit."""
    svg = interval_bar(0.5, 0.25, 1.0, title="IoU")
    assert 'class="track" d="M2 4H74"' in svg
    assert 'class="span" d="M20 4H74"' in svg
    assert 'class="value" d="M38 0V8"' in svg


def test_a_value_without_an_interval_is_a_stroke_alone() -> None:
    svg = interval_bar(50, None, None, limits=(0, 100), title="HD95")
    assert "span" not in svg
    assert 'class="value" d="M38 0V8"' in svg


def test_the_scale_on_top_by_hand() -> None:
    """The track runs from 8 to 346: 338 pixels a unit."""
    svg = interval_scale(0.5, 0.4, 0.6, title="Mean IoU")
    assert 'class="span" d="M143.2 12H210.8"' in svg
    assert 'class="value" d="M177 4V20"' in svg
    assert Page(svg).text == "Mean IoU 0% 25% 50% 75% 100%"


@pytest.mark.parametrize(("part", "most", "width"), [(0.25, 0.5, "38"), (0.5, 0.5, "76"), (1e-6, 1, "1"), (0, 1, "0")])
def test_a_share_bar(part: float, most: float, width: str) -> None:
    assert Page(share_bar(part, most=most, title="t")).all("rect")[0]["width"] == width


def test_a_reliability_diagram_by_hand() -> None:
    """Confidence runs over x 40..300, accuracy over y 270..10: 260 pixels a unit; empty bins are left out."""
    svg = reliability("t", [(0.1, 0.9, 0.0), (0.5, 0.25, 0.2), (1.0, 1.0, 0.8)])
    assert polylines(svg) == [("line strong", "170,205 300,10")]
    assert 'class="gap" d="M170 140V205"' in svg
    page = Page(svg)
    assert [(c["cx"], c["cy"], c["r"]) for c in page.all("circle")] == [("170", "205", "5.5"), ("300", "10", "8")]
    assert [(r["y"], r["height"]) for r in page.all("rect")] == [("303", "7"), ("282", "28")]
    assert "confidence 50.0%: correct in 25.0%; 20.0% of the pixels" in page.text


def rectangles(svg: str) -> list[tuple[str, float, float, float, float]]:
    found = Page(svg).all("rect")
    return [(r["class"] or "", *(float(r[key] or "") for key in ("x", "y", "width", "height"))) for r in found]


def test_stacked_bars_by_hand() -> None:
    """Two bars of 151 px each, with 1 px of air on either side; the axis ends at 10, so a count is 15.8 px tall."""
    svg = stacked_bars("t", [2, 2.828, 4], [(5, 5), (0, 1)], ["half", "none"])
    assert rectangles(svg) == [
        ("fill", 47, 105, 149, 79),
        ("fill other", 47, 26, 149, 79),
        ("fill", 198, 184, 149, 0),
        ("fill other", 198, 168.2, 149, 15.8),
    ]
    assert "0 5 10 2 2.8 4 diameter, px half none" in Page(svg).text


def test_many_bars_write_some_of_their_edges() -> None:
    edges = [2 ** (place / 2) for place in range(25)]
    text = Page(stacked_bars("t", edges, [(1, 0)] * 24, [""] * 24)).text
    assert text.endswith("0 1 2 3 4 1 2.8 8 23 64 181 512 1.4k 4.1k diameter, px")


def test_a_scatter_by_hand() -> None:
    """The axes end at 10: 26 px a count. Equal points are one dot, the larger the more there are."""
    svg = scatter("t", [(0, 0), (10, 10), (5, 10), (5, 10), (5, 10), (5, 10)], ("truth", "predicted"))
    dots = {(c["cx"], c["cy"], c["r"]) for c in Page(svg).all("circle")}
    assert dots == {("40", "270", "4.5"), ("300", "10", "4.5"), ("170", "10", "6.5")}
    assert 'class="diagonal" d="M40 270L300 10"' in svg


def test_counts_have_whole_ticks() -> None:
    assert "0 0 1 1 2 2 3 3 4 4" in Page(scatter("t", [(0, 1)], ("", ""))).text
    assert "0 1 2 3 4" in Page(stacked_bars("t", [1, 2], [(1, 0)], [""])).text
