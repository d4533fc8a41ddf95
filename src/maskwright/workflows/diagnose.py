"""Diagnose a trained model: where it is wrong, why, whether it can be believed, and what to do next. Prints nothing."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from maskwright.core.answers import in_python
from maskwright.core.files import check_writable, write_text
from maskwright.core.time_budget import TimeBudget
from maskwright.report.diagnosis import DiagnosisPage, Part, write_diagnosis
from maskwright.workflows.diagnose_parts.questions import QUESTIONS, chosen_sections, cures_of
from maskwright.workflows.diagnose_parts.sections import SECTIONS
from maskwright.workflows.diagnose_parts.study import Study
from maskwright.workflows.evaluate_parts.evaluation import opened
from maskwright.workflows.request import EvaluateRequest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from maskwright.core.answers import Answer, Cure
    from maskwright.core.events import OnProgress
    from maskwright.metrics.scores import Scores
    from maskwright.workflows.diagnose_request import DiagnoseRequest

MOST_NEXT = 3


@dataclass(frozen=True)
class DiagnoseResult:
    """Result of a diagnosis.

    Attributes:
        answers: section -> its answers.
        scores: of the images that were looked at.
        report: path of the HTML page; `diagnosis.json` lies beside it.
        notes: remarks on the images.
    """

    answers: dict[str, tuple[Answer, ...]]
    scores: Scores
    report: Path
    notes: tuple[str, ...]

    @property
    def next_steps(self) -> list[tuple[Answer, Cure]]:
        """The most useful things to do, at most three: those with the most at stake."""
        useful = [answer for part in self.answers.values() for answer in part if answer.cures and answer.stake > 0]
        ranked = sorted(useful, key=lambda answer: -answer.stake)
        return [(answer, answer.cures[0]) for answer in ranked[:MOST_NEXT]]

    def to_json(self) -> dict[str, Any]:
        """Return everything but the pictures as plain JSON."""
        score = self.scores.score
        return {
            "answers": {name: [answer.to_json() for answer in part] for name, part in self.answers.items()},
            "next": [answer.key for answer, _ in self.next_steps],
            "score": {
                "metric": self.scores.headline_words,
                "value": score.value,
                "low": score.low,
                "high": score.high,
            },
            "notes": list(self.notes),
        }


def diagnose(
    run: Path,
    root: Path,
    request: DiagnoseRequest,
    on_progress: Callable[[str], OnProgress] | None = None,
    spelled: Callable[[Cure], str] = in_python,
) -> DiagnoseResult:
    """Measure a trained model on held-out images, and answer the questions that users ask.

    Args:
        run: the run folder, or a model file.
        root: folder (or file) of images and masks.
        request: which questions, how long, and where to write.
        on_progress: given what is done, returns what is called with (images done, images in all).
        spelled: writes a cure as a command that the user can paste.

    Raises:
        MaskwrightError: no model, no such split, other classes than the model has, or no such question.
    """
    started = time.monotonic()
    names = chosen_sections(request.question)
    evaluation = opened(run, root, EvaluateRequest(request.split, request.read, request.out, request.device))
    check_writable(evaluation.out)
    budget = TimeBudget.of(request.seconds, started)
    assert budget.report_deadline is not None
    study = Study(evaluation, request, budget.report_deadline, on_progress)
    answers: dict[str, tuple[Answer, ...]] = {}
    for place, name in enumerate(names):
        shares = [SECTIONS[each].share for each in names[place:]]
        now = time.monotonic()
        until = now + max(0.0, budget.report_deadline - now) * shares[0] / sum(shares)
        answers[name] = tuple(SECTIONS[name].answers(study, until))
    result = DiagnoseResult(answers, study.scores, evaluation.out / "diagnosis.html", tuple(study.notes))
    _write(result, study, spelled)
    return result


def _write(result: DiagnoseResult, study: Study, spelled: Callable[[Cure], str]) -> None:
    """Write the page, and the same without pictures as JSON."""
    result.report.parent.mkdir(parents=True, exist_ok=True)
    write_text(result.report.with_suffix(".json"), json.dumps(result.to_json(), indent=1, allow_nan=False) + "\n")
    given = {answer.key: answer for part in result.answers.values() for answer in part}
    page = DiagnosisPage(
        title=f"{study.run.name} on {study.dataset.root.resolve().name}",
        scores=result.scores,
        parts=tuple(Part(name, SECTIONS[name].title, part) for name, part in result.answers.items()),
        next_steps=tuple((answer, spelled(cure)) for answer, cure in result.next_steps),
        questions=tuple(
            (
                number,
                entry.text,
                tuple(given[key] for key in entry.answers if key in given),
                cures_of(number, given, str(study.run), str(study.dataset.root)),
            )
            for number, entry in QUESTIONS.items()
        ),
        notes=result.notes,
        spelled=spelled,
    )
    write_diagnosis(result.report, page)
