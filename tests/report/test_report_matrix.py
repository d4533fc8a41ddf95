from __future__ import annotations

import re

import numpy as np
import pytest
from tests.report.report_samples import Page

from maskwright.report.matrix import MOST_CLASSES, Confusion, confusions, heat_map, shade, shown_classes


def cells(svg: str) -> list[dict[str, str | None]]:
    return [entry for entry in Page(svg).all("rect") if entry["class"] in {"hit", "miss"}]


def test_two_classes_by_hand() -> None:
    """Cells are 96 wide behind a margin of 72; opacity is the root of the share of the row."""
    svg = heat_map([[75, 25], [0, 100]], ["a", "b"])
    drawn = [(c["class"], c["x"], c["y"], c["width"], c["fill-opacity"]) for c in cells(svg)]
    assert drawn == [
        ("hit", "72", "72", "96", "0.87"),
        ("miss", "168", "72", "96", "0.5"),
        ("hit", "168", "168", "96", "1"),
    ]
    text = Page(svg).text
    assert "a \u2192 b: 25 px, 25.0%" in text
    assert re.findall(r">([\d.]+)</text>", svg) == ["75.0", "25.0", "100.0"]


def test_a_class_that_never_occurs_has_an_empty_row() -> None:
    assert len(cells(heat_map([[5, 0], [0, 0]], ["a", "b"]))) == 1


def test_eighty_classes_are_all_named_and_no_cell_is_written_into() -> None:
    matrix = np.full((80, 80), 3) + 500 * np.eye(80, dtype=int)
    names = [f"class {index}" for index in range(80)]
    svg = heat_map(matrix.tolist(), names)
    assert len(cells(svg)) == 6400
    assert all(svg.count(f">{name}</text>") == 2 for name in names)
    assert 'class="on"' not in svg
    assert len(svg) < 1_200_000


def test_beyond_a_hundred_classes_the_rarest_are_left_out() -> None:
    matrix = np.diag(np.arange(1, 121))
    assert shown_classes(matrix.tolist()) == list(range(20, 120))
    svg = heat_map(matrix.tolist(), [f"c{index}" for index in range(120)])
    assert len(cells(svg)) == MOST_CLASSES


def test_names_are_escaped_and_long_ones_cut() -> None:
    svg = heat_map([[1, 1], [1, 1]], ["<script>", "a" * 40])
    assert "<script>" not in svg
    assert ">" + "a" * 17 + "\u2026</text>" in svg


def test_confusions_are_ranked_by_share_of_the_truth() -> None:
    found = confusions([[900, 100, 0], [0, 5, 5], [0, 0, 7]], ["a", "b", "c"])
    assert found == [Confusion("b", "c", 5, 0.5), Confusion("a", "b", 100, 0.1)]
    assert confusions([[900, 100, 0], [0, 5, 5], [0, 0, 7]], ["a", "b", "c"], most=1) == found[:1]


@pytest.mark.parametrize(("part", "opacity"), [(1.0, 1.0), (0.25, 0.5), (0.01, 0.1), (1e-9, 0.02)])
def test_shades(part: float, opacity: float) -> None:
    assert shade(part) == opacity
