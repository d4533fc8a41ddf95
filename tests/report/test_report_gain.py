"""What the dense CRF changes, in numbers that agree with each other."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tests.report.report_samples import Page, full_data

from maskwright.cli.scores import gain_table
from maskwright.cli.terminal import console
from maskwright.metrics.label_metrics import LABEL_METRICS
from maskwright.report.findings import findings
from maskwright.report.gain import in_percent, losses, rows
from maskwright.report.page import render

if TYPE_CHECKING:
    from maskwright.report.content import ReportData

GAIN = {
    "iou": {"without": 0.35774, "with": 0.35506, "gain": -0.00268},
    "boundary_iou": {"without": 0.24976, "with": 0.25121, "gain": 0.00145},
}


def data() -> ReportData:
    return replace(full_data(), postprocessor="dense CRF", gain=GAIN)


def test_the_difference_is_that_of_the_numbers_shown() -> None:
    worse, better = rows(GAIN, LABEL_METRICS, in_percent)
    assert worse == ("IoU", "35.77", "35.51", "-0.26")
    assert better == ("Boundary IoU", "24.98", "25.12", "+0.14")
    (same,) = rows({"iou": {"without": 0.5, "with": 0.500001, "gain": 1e-6}}, LABEL_METRICS, in_percent)
    assert same.difference == "none"
    assert rows({"iou": {"without": None, "with": 0.5, "gain": None}}, LABEL_METRICS, in_percent) == []


def test_a_loss_is_a_warning_and_a_gain_is_none() -> None:
    assert losses(GAIN, LABEL_METRICS, "dense CRF") == ["on these images the dense CRF lowers the mean IoU"]
    (found,) = [entry for entry in findings(data()) if "dense CRF" in entry.text]
    assert (found.level, found.text) == ("warning", "On these images the dense CRF lowers the mean IoU.")


def test_the_page_begins_with_it() -> None:
    text = Page(render(data())).text
    assert "Mean IoU on held-out test images, with the dense CRF" in text
    assert text.index("IoU 35.77% 35.51% -0.26") < text.index("Before you trust it")
    assert "dense CRF" not in Page(render(full_data())).text


def test_the_terminal_shows_it_as_it_shows_scores() -> None:
    screen = console()
    with screen.capture() as shown:
        screen.print(gain_table(GAIN, LABEL_METRICS, "dense CRF", 80))
    lines = shown.get().splitlines()
    assert lines[4].split() == ["IoU", "0.3577", "0.3551", "-0.0026"]
    assert "with the dense CRF" in lines[2]
