from __future__ import annotations

from tests.report.report_samples import UNDEFINED, absent, class_scores, make_scores

from maskwright.core.classes import Classes
from maskwright.metrics.scores import DESCRIPTIONS, Estimate
from maskwright.report.tables import (
    CLASS_METRICS,
    IMAGE_METRICS,
    PIXEL_ACCURACY,
    WIDE_METRICS,
    Cell,
    Metric,
    cell,
    class_rows,
    css,
    definitions,
    headline,
    mean_rows,
)


def test_a_share_is_written_in_percent_with_its_interval() -> None:
    written = cell(Metric("iou", "IoU"), Estimate(0.6312, 0.5, 0.7549))
    assert (written.text, written.interval, written.sort) == ("63.1", "50.0 to 75.5", 0.6312)
    assert written.bar is not None
    assert "IoU 63.1%, 95% interval 50.0 to 75.5%" in written.bar


def test_a_length_is_written_in_pixels_on_its_own_scale() -> None:
    written = cell(Metric("hd95", "HD95", "px"), Estimate(1234.56, None, None), limit=2469.12)
    assert (written.text, written.interval) == ("1,234.6", None)
    assert written.bar is not None
    assert 'd="M38 0V8"' in written.bar


def test_an_undefined_value_is_empty() -> None:
    assert cell(CLASS_METRICS[0], UNDEFINED) == Cell()
    assert cell(CLASS_METRICS[0], Estimate(float("nan"), None, None)) == Cell()


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
    rows = mean_rows(scores, (*WIDE_METRICS, PIXEL_ACCURACY))
    assert {row.metric.key: row.cell.sort for row in rows} == {
        **{key: value.value for key, value in scores.mean.items() if not key.endswith("per_image")},
        "pixel_accuracy": 0.9,
    }
    assert [row.metric.key for row in mean_rows(scores, IMAGE_METRICS)] == ["iou_per_image", "dice_per_image"]


def test_every_measure_has_its_sentence() -> None:
    assert {metric.key for metric in definitions()} == set(DESCRIPTIONS)


def test_the_headline() -> None:
    assert headline(Estimate(0.6312, 0.58, 0.68)) == ("63.1%", "58.0% to 68.0%")
    assert headline(Estimate(0.6312, None, None)) == ("63.1%", "")
    assert headline(Estimate(0.02, 0.0, 0.05)) == ("2.0%", "0.0% to 5.0%")
    assert headline(UNDEFINED) is None
    assert headline(None) is None


def test_colours_for_a_style_sheet() -> None:
    classes = Classes(("a",), ((255, 0, 16),))
    assert css(classes, 0) == "#ff0010"
    assert css(classes, 1) == "#808080"
