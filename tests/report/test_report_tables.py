from __future__ import annotations

from dataclasses import replace

import pytest
from tests.report.report_samples import UNDEFINED, absent, class_scores, make_scores

from maskwright.core.classes import Classes
from maskwright.metrics.label_metrics import LABEL_METRICS
from maskwright.metrics.scores import Estimate, Metric
from maskwright.report.tables import (
    Cell,
    cell,
    class_metrics,
    class_rows,
    css,
    css_of,
    headline,
    mean_rows,
    unit,
    write,
)

IOU, HD95 = LABEL_METRICS[0], LABEL_METRICS[6]


def test_a_share_is_written_in_percent_with_its_interval() -> None:
    written = cell(IOU, Estimate(0.6312, 0.5, 0.7549))
    assert (written.text, written.interval, written.sort) == ("63.1", "50.0 to 75.5", 0.6312)
    assert written.bar is not None
    assert "IoU 63.1%, 95% interval 50.0 to 75.5%" in written.bar


def test_a_length_is_written_in_pixels_on_its_own_scale() -> None:
    written = cell(HD95, Estimate(1234.56, None, None), limits=(0.0, 2469.12))
    assert (written.text, written.interval) == ("1,234.6", None)
    assert written.bar is not None
    assert 'd="M38 0V8"' in written.bar


def test_a_difference_has_a_bar_around_zero() -> None:
    """The interval from -3 to 1 is within -3..3, so the stroke of -1 stands at 2 + 72 x 2 / 6."""
    bias = Metric("bias", "Bias", "Predicted minus true.", unit="")
    scores = replace(make_scores(class_scores("a")), metrics=(bias,), mean={"bias": Estimate(-1.0, -3.0, 1.0)})
    (row,) = mean_rows(scores)
    assert (row.cell.text, row.cell.interval, row.unit) == ("-1.0", "-3.0 to 1.0", "")
    assert row.cell.bar is not None
    assert 'class="value" d="M26 0V8"' in row.cell.bar


def test_a_count_is_whole() -> None:
    count = Metric("objects", "Objects", "Annotated objects.", unit="count")
    assert (write(count, 1234.0), unit(count)) == ("1,234", "")


def test_a_class_keeps_its_color_where_the_background_has_no_row() -> None:
    classes = Classes.named(["background", "a", "b"])
    rows = class_rows(make_scores(class_scores("a"), class_scores("b")), classes)
    assert [row.color for row in rows] == [css(classes, 1), css(classes, 2)]


def test_an_undefined_value_is_empty() -> None:
    assert cell(IOU, UNDEFINED) == Cell()
    assert cell(IOU, Estimate(float("nan"), None, None)) == Cell()


def test_every_class_has_a_row_with_a_cell_for_every_metric() -> None:
    scores = make_scores(class_scores("a", 0.5, pixels=3000), class_scores("b", 0.25), absent("c"))
    rows = class_rows(scores, Classes.named(["a", "b", "c"]))
    assert [row.name for row in rows] == ["a", "b", "c"]
    assert [row.share for row in rows] == ["75.0%", "25.0%", "0.0%"]
    assert [entry.text for entry in rows[0].cells] == ["50.0"] * 5 + ["5.0", "50.0"]
    assert [entry.text for entry in rows[2].cells] == [None] * 7


def test_hd95_bars_end_at_the_largest_value_of_the_column() -> None:
    near, far = class_scores("a"), class_scores("b", hd95=Estimate(10.0, None, 12.0))
    rows = class_rows(make_scores(near, far), Classes.named(["a", "b"]))
    bar = rows[0].cells[5].bar
    assert bar is not None
    assert 'class="value" d="M32 0V8"' in bar  # 2 + 72 * 5 / 12


def test_means_are_those_of_the_scores() -> None:
    scores = make_scores(class_scores("a"))
    rows = mean_rows(scores)
    assert [row.metric for row in rows] == list(LABEL_METRICS)
    assert {row.metric.key: row.cell.sort for row in rows} == {key: entry.value for key, entry in scores.mean.items()}
    assert {row.metric.key: row.cell.text for row in rows if row.metric.key in {"iou", "pixel_accuracy"}} == {
        "iou": "80.0",
        "pixel_accuracy": "90.0",
    }
    assert {row.metric.key: row.unit for row in rows if row.unit != "%"} == {"hd95": " px"}


def test_a_metric_without_a_mean_has_no_row() -> None:
    scores = make_scores(class_scores("a"))
    rows = mean_rows(replace(scores, mean={"nsd": scores.mean["nsd"], "iou": scores.mean["iou"]}))
    assert [row.metric.key for row in rows] == ["iou", "nsd"]


def test_the_columns_of_classes_are_those_of_the_scores_without_the_last() -> None:
    scores = make_scores(class_scores("a"))
    assert [metric.key for metric in class_metrics(scores)] == [
        "iou", "dice", "precision", "recall", "boundary_iou", "hd95", "nsd",
    ]  # fmt: skip
    assert class_metrics(replace(scores, classes=())) == []


def test_a_value_is_written_in_its_unit() -> None:
    plain = Metric("mae", "Error", "", unit="")
    assert [write(metric, 0.5) + unit(metric) for metric in (IOU, HD95, plain)] == ["50.0%", "0.5 px", "0.5"]


@pytest.mark.parametrize(
    ("estimate", "words"),
    [
        (Estimate(0.6312, 0.58, 0.68), ("63.1%", "58.0% to 68.0%")),
        (Estimate(0.6312, None, None), ("63.1%", "")),
        (Estimate(0.02, 0.0, 0.05), ("2.0%", "0.0% to 5.0%")),
        (Estimate(float("nan"), None, None), None),
        (UNDEFINED, None),
    ],
)
def test_the_headline(estimate: Estimate, words: tuple[str, str] | None) -> None:
    scores = make_scores(class_scores("a"))
    assert headline(replace(scores, mean={**scores.mean, "iou": estimate})) == words


def test_the_headline_of_a_length_is_in_pixels() -> None:
    assert headline(make_scores(class_scores("a"), headline="hd95")) == ("5.0 px", "4.0 px to 6.0 px")


def test_colours_for_a_style_sheet() -> None:
    classes = Classes(("a",), ((255, 0, 16),))
    assert css(classes, 0) == "#ff0010"
    assert css(classes, 1) == "#808080"
    assert css_of((1, 2, 171)) == "#0102ab"
