"""Diagnosis: every section answers, every cure is a command that exists, and every practical question has an entry."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.workflows import toy_data as toy

import maskwright as mw
from maskwright.cli.commands import command
from maskwright.cli.main import VERBS
from maskwright.cli.main import run as run_command
from maskwright.core.answers import Answer, Cure, in_python
from maskwright.core.errors import MaskwrightError
from maskwright.core.plan import Plan
from maskwright.core.text import compact
from maskwright.models import bundle
from maskwright.models.cost import planned_cost
from maskwright.workflows.diagnose_parts.questions import QUESTIONS, chosen_sections
from maskwright.workflows.diagnose_parts.sections import SECTIONS
from maskwright.workflows.train import train

if TYPE_CHECKING:
    from maskwright.workflows.diagnose import DiagnoseResult

pytestmark = pytest.mark.usefixtures("one_thread")
ASKED = Path(__file__).parents[3] / "shared" / "questions.md"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("diagnose")
    train(toy.write(root / "data", {"train": 8, "val": 4, "test": 14}), toy.request(steps=6), root / "run")
    return root


@pytest.fixture(scope="module")
def result(place: Path) -> DiagnoseResult:
    return mw.diagnose(place / "run", place / "data", out=place / "diagnosis", budget="1m")


def answers(result: DiagnoseResult) -> list[Answer]:
    return [answer for part in result.answers.values() for answer in part]


def test_each_section_answers_what_it_says(result: DiagnoseResult) -> None:
    assert set(result.answers) == {name for name, section in SECTIONS.items() if not section.asked}
    for name, part in result.answers.items():
        assert part, name
        assert {answer.key for answer in part} <= set(SECTIONS[name].keys)
    keys = [key for section in SECTIONS.values() for key in section.keys]
    assert len(keys) == len(set(keys))


def test_the_parameters_are_those_of_the_trained_network(place: Path, result: DiagnoseResult) -> None:
    card = bundle.read_card(place / "run/model.safetensors")
    counted = planned_cost(card.model, card.channels, card.data.channels)
    (answer,) = (each for each in answers(result) if each.key == "cost")
    assert f" {compact(counted.parameters)} parameters" in answer.verdict


def test_the_page_and_its_json_say_the_same(result: DiagnoseResult) -> None:
    page = result.report.read_text(encoding="utf-8")
    plain = json.loads(result.report.with_suffix(".json").read_text(encoding="utf-8"))
    for answer in answers(result):
        assert f'id="answer-{answer.key}"' in page
    said = [entry["verdict"] for part in plain["answers"].values() for entry in part]
    assert said == [answer.verdict for answer in answers(result)]
    assert "http" not in page.replace("http-equiv", "")


def test_cures_are_commands_that_exist(result: DiagnoseResult) -> None:
    cures = [cure for answer in answers(result) for cure in answer.cures]
    cures += [cure for question in QUESTIONS.values() for cure in question.cures]
    assert cures
    for cure in cures:
        words = shlex.split(command(cure))
        assert words[:1] == ["maskwright"]
        assert words[1] in VERBS, words
        for setting in cure.options.get("settings", ()):
            section, _, key = setting.partition("=")[0].partition(".")
            assert key in type(getattr(Plan(), section)).model_fields, setting


def test_every_practical_question_has_an_entry(result: DiagnoseResult) -> None:
    assert list(QUESTIONS) == list(range(1, len(QUESTIONS) + 1))
    page = result.report.read_text(encoding="utf-8")
    for number, question in QUESTIONS.items():
        assert f'id="question-{number}"' in page
        assert question.answers or question.cures


@pytest.mark.skipif(not ASKED.exists(), reason="the list of practical questions is not beside the repository")
def test_the_questions_are_those_that_users_ask() -> None:
    numbers = re.findall(r"^\| (\d+) \|", ASKED.read_text(encoding="utf-8"), re.MULTILINE)
    assert [int(number) for number in numbers] == list(QUESTIONS)


def test_at_most_three_next_steps_the_largest_stake_first(result: DiagnoseResult) -> None:
    stakes = [answer.stake for answer, _ in result.next_steps]
    assert len(stakes) <= 3
    assert stakes == sorted(stakes, reverse=True)


def test_the_same_twice(place: Path, result: DiagnoseResult) -> None:
    again = mw.diagnose(place / "run", place / "data", out=place / "again", budget="1m", question=["where"])
    assert again.answers["where"] == result.answers["where"] or [
        answer.to_json() for answer in again.answers["where"]
    ] == [answer.to_json() for answer in result.answers["where"]]


@pytest.mark.parametrize(("word", "sections"), [("where", ("where",)), ("border", ("where",)), ("16", ("robustness",))])
def test_a_question_by_section_answer_or_number(word: str, sections: tuple[str, ...]) -> None:
    assert chosen_sections((word,)) == sections


@pytest.mark.parametrize(
    ("word", "message"), [("wher", "did you mean 'where'"), ("99", "99"), ("1", "answered by maskwright plan")]
)
def test_an_unknown_question(word: str, message: str) -> None:
    with pytest.raises(MaskwrightError, match=message):
        chosen_sections((word,))


def test_a_cure_in_python_and_in_the_shell() -> None:
    cure = Cure("", "train", ("my data",), {"settings": ("augment.noise=10", "augment.zoom=[0.5, 2]"), "lora": "8"})
    assert command(cure) == "maskwright train 'my data' --set augment.noise=10 --set 'augment.zoom=[0.5, 2]' --lora 8"
    assert in_python(cure) == "mw.train('my data', settings=('augment.noise=10', 'augment.zoom=[0.5, 2]'), lora='8')"


def test_the_command_line(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["diagnose", str(place / "run"), str(place / "data"), "--question", "where", "--out", str(place / "shell")]
    assert run_command([*words, "--json"]) == 0
    plain = json.loads(capsys.readouterr().out)
    assert next(entry["key"] for entry in plain["answers"]["where"]) == "border"
    assert run_command(words) == 0
    shown = capsys.readouterr().out
    assert f"report: {place / 'shell' / 'diagnosis.html'}" in shown.splitlines()
    for answer in plain["answers"]["where"]:
        if answer["key"] in plain["next"]:
            options = {name: tuple(value) if isinstance(value, list) else value
                       for name, value in answer["cures"][0]["options"].items()}  # fmt: skip
            cure = Cure("", answer["cures"][0]["verb"], tuple(answer["cures"][0]["arguments"]), options)
            assert f"   {command(cure)}" in shown.splitlines(), "a long command stays on one line"
    assert (place / "shell" / "diagnosis.html").exists()
