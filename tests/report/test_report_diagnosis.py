"""The page of a diagnosis: what a newcomer reads of figures, colours and commands."""

from __future__ import annotations

import numpy as np
import pytest
from tests.report.report_samples import full_data

from maskwright.cli.commands import command
from maskwright.core.answers import Answer, Cure, Drawing, Figure
from maskwright.report.diagnosis import DiagnosisPage, Part, render_diagnosis


def page_of(answer: Answer) -> str:
    return render_diagnosis(
        DiagnosisPage(
            title="run on data",
            scores=full_data().scores,
            parts=(Part("where", "Where it is wrong", (answer,)),),
            next_steps=(),
            questions=((1, "Why?", (), ()),),
            notes=(),
            spelled=command,
        )
    )


def test_pictures_have_a_legend_of_their_colours() -> None:
    drawing = Drawing("a.png: truth", np.zeros((4, 4, 3), np.uint8))
    legend = (("road <wet>", (128, 64, 128)), ("wrong", (200, 90, 0)))
    page = page_of(Answer("worst", "Which?", "These.", drawings=(drawing,), legend=legend))
    assert '<span class="swatch" style="background:#804080"></span>road &lt;wet&gt;' in page
    assert '<span class="swatch" style="background:#c85a00"></span>wrong' in page
    assert "swatch" not in page_of(Answer("worst", "Which?", "These.")).split("</style>")[1]


@pytest.mark.parametrize(
    ("value", "unit", "words"),
    [
        (4438.4, "ms", "4,438 ms"),
        (35_400.0, "ms", "35,400 ms"),
        (999.4, "MB", "999 MB"),
        (12.68, "MB", "12.7 MB"),
        (-1280.6, "", "-1,281"),
        (0.00123, "", "0.00123"),
    ],
)
def test_large_figures_have_no_power_of_ten(value: float, unit: str, words: str) -> None:
    assert str(Figure("", value, unit=unit)) == words  # type: ignore[arg-type]


def test_a_command_is_on_the_page_as_it_is_pasted() -> None:
    cure = Cure("Because.", "train", ("my data",), {"settings": ("augment.noise=10",)})
    assert "maskwright train &#39;my data&#39; --set augment.noise=10" in page_of(Answer("a", "?", "!", cures=(cure,)))
