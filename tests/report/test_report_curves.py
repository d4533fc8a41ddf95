from __future__ import annotations

import math
import re

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from tests.report.report_samples import make_history

from maskwright.metrics.label_metrics import LABEL_METRICS
from maskwright.metrics.scores import Metric
from maskwright.report.curves import clipped, column, curves, smoothed, thinned

IOU = LABEL_METRICS[0]


def test_a_column_leaves_out_what_is_missing() -> None:
    rows = [{"step": 1, "loss": 2.0}, {"step": 2, "loss": math.nan}, {"step": 3, "loss": None}, {"step": 4}]
    assert column(rows, "loss") == [(1, 2.0)]


def test_smoothing_by_hand() -> None:
    assert smoothed([0, 3, 6, 0], 1) == [1.5, 3, 3, 3]
    assert smoothed([1, 5, 2], 0) == [1, 5, 2]


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=40), st.integers(0, 50))
def test_smoothing_is_the_mean_of_a_window(values: list[float], reach: int) -> None:
    expected = [np.mean(values[max(i - reach, 0) : i + reach + 1]) for i in range(len(values))]
    np.testing.assert_allclose(smoothed(values, reach), expected, atol=1e-9)


def test_thinning_takes_means_of_runs() -> None:
    points = [(float(x), 2.0 * x) for x in range(6)]
    assert thinned(points, 3) == [(0.5, 1.0), (2.5, 5.0), (4.5, 9.0)]
    assert thinned(points, 6) == points


def test_three_charts_for_a_whole_history() -> None:
    found = curves(make_history(40), IOU)
    assert [entry.title for entry in found] == ["Training loss", "Validation IoU", "Learning rate"]
    assert found[1].note == "Best: 54.0% at step 40 (ring). This model was kept."


def test_the_validation_line_by_hand() -> None:
    """Steps 0..20 over x 46..348, IoU 0..60% over y 184..26."""
    history = [{"step": 10, "val_iou": 0.3}, {"step": 20, "val_iou": 0.6}]
    (chart,) = curves(history, IOU)
    assert re.findall(r'points="([^"]*)"', chart.svg) == ["197,105 348,26"]


def test_a_hundred_thousand_steps_stay_small() -> None:
    history = [{"step": step, "loss": 1.0 + step % 7, "lr": 0.001} for step in range(100_000)]
    assert sum(len(entry.svg) for entry in curves(history, IOU)) < 30_000


def test_a_wild_start_does_not_flatten_the_rest() -> None:
    history = [{"step": 0, "loss": 1e6}, *({"step": step, "loss": 1.0} for step in range(1, 20_000))]
    (chart,) = curves(history, IOU)
    assert ">2</text>" in chart.svg
    assert ">3</text>" not in chart.svg


def test_no_history_no_charts() -> None:
    assert curves([], IOU) == []
    assert curves([{"step": 1, "loss": 2.0, "lr": 0.1}], IOU) == []


def test_adversarial_training_has_two_charts_more() -> None:
    rows = [{**row, "adversarial_loss": 0.8, "discriminator_loss": 1.2} for row in make_history(10)]
    found = {entry.title: entry.note for entry in curves(rows, IOU)}
    assert list(found)[3:] == ["Adversarial loss", "Discriminator loss"]
    assert found["Adversarial loss"].startswith("Raw (faint) and smoothed. Final value 0.8. 0.69 when")
    assert "Final value 1.2. 1.39 when" in found["Discriminator loss"]


def test_of_a_metric_that_falls_the_least_value_is_the_best() -> None:
    error = Metric("mae", "Mean absolute error", "", unit="px", higher_is_better=False)
    history = [{"step": 10, "val_mae": 4.0}, {"step": 20, "val_mae": 2.5}, {"step": 30, "val_mae": 3.0}]
    (chart,) = curves(history, error)
    assert chart.title == "Validation Mean absolute error"
    assert chart.note == "Best: 2.5 px at step 20 (ring). This model was kept."
    assert "%" not in chart.svg


def test_the_gradient_norm_has_a_chart_where_it_is_recorded() -> None:
    rows = [{**row, "gradient": 0.5, "gradient_max": 2.0, "clipped": 0.25} for row in make_history(10)]
    rows[6] |= {"gradient": 3.0, "gradient_max": 8.0}
    chart = curves(rows, IOU)[-1]
    assert chart.title == "Gradient norm"
    assert chart.note == (
        "Before clipping: mean of the steps and largest one (faint). Usually 0.5, at most 8. Clipped: 25% of the steps."
    )
    assert chart.svg.count("<polyline") == 2
    free = [{name: value for name, value in row.items() if name != "clipped"} for row in rows]
    assert curves(free, IOU)[-1].note.endswith("at most 8.")


def test_the_share_of_clipped_steps_by_hand() -> None:
    """Half of 10 steps, all of 2, none known of 8: 7 of 12."""
    rows = [{"step": 10, "clipped": 0.5}, {"step": 12, "clipped": 1.0}, {"step": 20, "clipped": None}]
    assert clipped(rows) == 7 / 12
    assert clipped(rows[2:]) is None
    assert clipped([{"step": 3, "loss": 1.0}]) is None
