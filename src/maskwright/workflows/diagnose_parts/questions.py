"""The practical questions that users of segmentation ask, and what answers each of them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from maskwright.core.answers import Cure
from maskwright.core.errors import MaskwrightError, unknown_name
from maskwright.workflows.diagnose_parts.sections import SECTIONS

if TYPE_CHECKING:
    from collections.abc import Container


@dataclass(frozen=True)
class Question:
    """One question.

    Attributes:
        text: as users ask it.
        answers: keys of the answers that a diagnosis gives to it.
        cure: the command that measures it, where another verb does.
    """

    text: str
    answers: tuple[str, ...] = ()
    cures: tuple[Cure, ...] = field(default=())


def _see(why: str, verb: str, *arguments: str, **options: str) -> Cure:
    return Cure(why, verb, arguments, options)


QUESTIONS: dict[int, Question] = {
    1: Question(
        "Which kernel size, activation, optimiser and loss suit this task?",
        cures=(
            _see("The plan says what it chose and why, with the figure it rests on.", "plan", "DATA"),
            _see("Other choices are tried on this data, and taken only if they win on other images.", "tune", "DATA"),
        ),
    ),
    2: Question(
        "Which model suits this data, budget and machine?",
        cures=(
            _see("The plan names a model for this data, budget and machine, and says why.", "plan", "DATA"),
            _see("Models are among what is tried on this data.", "tune", "DATA"),
            _see("Finished runs are compared on the same images, with intervals.", "compare", "RUN", "OTHER_RUN"),
        ),
    ),
    3: Question("The classes are imbalanced: what should I do?", ("imbalance", "balance")),
    4: Question("Is it weak at the border of the image, or of the masks?", ("frame", "border")),
    5: Question("Are single classes weak, or missed altogether?", ("confusions", "imbalance", "sizes")),
    6: Question("Does it over-fit, or under-fit?", ("fit",)),
    7: Question("How well does it generalise to another site or camera?", ("groups", "kinds", "shift", "new-groups")),
    8: Question("What does it need in computing, memory and storage?", ("cost",)),
    9: Question("Are clipping, accumulation or checkpointing of gradients needed?", ("gradients",)),
    10: Question("Can its decisions be explained?", ("explanation", "receptive-field")),
    11: Question(
        "What does deployment cost, and where can it run?",
        ("cost",),
        (_see("Writes the model for other engines, and compares speed and masks.", "export", "RUN", to="onnx"),),
    ),
    12: Question("It does worse on new data: how is it updated?", ("shift", "update")),
    13: Question(
        "Do hyper-parameters need tuning for this data?",
        cures=(_see("Says what tuning gains on images that did not rank.", "tune", "DATA"),),
    ),
    14: Question(
        "How can it be made smaller or faster?",
        ("options",),
        (_see("Trains a narrower model on this one, and compares the two.", "compress", "RUN", target="0.5x"),),
    ),
    15: Question("Does transfer help?", ("transfer", "starts")),
    16: Question("Is it robust to noise and errors in the input?", ("robustness",)),
    17: Question("Are labels wrong?", ("labels",)),
    18: Question("Would more labels help, and which?", ("more-data", "label-next")),
    19: Question("How far can a score be believed?", ("belief", "calibration", "risk")),
    20: Question("Can prior knowledge (shape, neighbourhood, order) be used?", ("prior", "options")),
    21: Question("What drives the decision: cause or coincidence?", ("shortcuts",)),
}
"""Number in the list of practical questions -> the question."""


def cures_of(number: int, given: Container[str], run: str, data: str) -> tuple[Cure, ...]:
    """Return what to do about a question besides what its answers say: other verbs, and what measures the rest of it.

    Args:
        number: of the question.
        given: keys of the answers that there are.
        run: what stands for `RUN` in a command.
        data: what stands for `DATA`.
    """
    question, names = QUESTIONS[number], {"RUN": run, "DATA": data}
    placed = (
        replace(cure, arguments=tuple(names.get(word, word) for word in cure.arguments)) for cure in question.cures
    )
    asked = {name: section for name, section in SECTIONS.items() if set(section.keys) & set(question.answers)}
    left = [name for name, section in asked.items() if not any(key in given for key in section.keys)]
    return (*placed, *(_measured_by(name, run, data) for name in left))


def _measured_by(name: str, run: str, data: str) -> Cure:
    """Return the command that answers a section which was not asked for."""
    if not SECTIONS[name].asked:
        return Cure("Not measured in this diagnosis. This measures it:", "diagnose", (run, data), {"question": (name,)})
    why = "Not measured in this diagnosis, because it takes several short trainings. This measures it:"
    return Cure(why, "diagnose", (run, data), {"question": (name,), "budget": "30m"})


def chosen_sections(words: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of the sections that answer what a user asks; all but the slow ones if nothing is asked.

    Args:
        words: names of sections, keys of answers, or numbers of `QUESTIONS`.

    Raises:
        MaskwrightError: there is no such section, answer or question, or another verb answers it.
    """
    if not words:
        return tuple(name for name, section in SECTIONS.items() if not section.asked)
    wanted = {name for word in words for name in _sections(word)}
    return tuple(name for name in SECTIONS if name in wanted)


def _sections(word: str) -> list[str]:
    keys = {key: name for name, section in SECTIONS.items() for key in section.keys}
    if word in SECTIONS:
        return [word]
    if word in keys:
        return [keys[word]]
    question = QUESTIONS.get(int(word)) if word.isdecimal() else None
    if question is None:
        raise unknown_name("question", word, {*SECTIONS, *keys, *map(str, QUESTIONS)})
    if not question.answers:
        raise MaskwrightError(
            f"question {word} ({question.text}) is answered by maskwright {question.cures[0].verb}: use that",
            "question",
        )
    return [keys[key] for key in question.answers]
