"""Compression: how narrow the student is, what it learns from, and what is compared."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from tests.workflows import toy_data as toy

import maskwright as mw
from maskwright.cli.main import run as command
from maskwright.core.errors import MaskwrightError
from maskwright.core.plan import DataPlan, ModelPlan
from maskwright.core.plan_file import read_plan
from maskwright.inference import Predictor
from maskwright.models.bundle import Card, CardClasses
from maskwright.workflows.compress_parts.student import student_of
from maskwright.workflows.train import train

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("compress")
    train(toy.write(root / "data"), toy.request(steps=6), root / "run")
    return root / "run"


def card(name: str, backbone: str | None = None, **options: Any) -> Card:
    return Card(
        model=ModelPlan(name=name, backbone=backbone, options=options),
        classes=CardClasses(names=["a", "b"], colors=[(0, 0, 0), (1, 1, 1)]),
        data=DataPlan(),
    )


@pytest.mark.parametrize(
    ("name", "backbone"),
    [
        ("swiftnet", None),
        ("segformer", None),
        ("fcn", "resnet18"),
        ("fcn8s", None),
        ("swiftnet", "mobilenetv3_large_100"),
    ],
)
def test_the_student_costs_no_more_than_asked(name: str, backbone: str | None) -> None:
    found = student_of(card(name, backbone), 0.5)
    assert 0.3 < found.share <= 0.5
    assert found.plan.name == name
    assert found.cost.parameters < found.teacher.parameters


def test_a_backbone_of_fixed_width_is_replaced_and_the_decoder_does_not_grow() -> None:
    found = student_of(card("deeplabv3plus"), 0.9).plan
    assert found.backbone == "compact"
    assert found.options["width"] == 256
    assert found.options["widths"][0] > 32


def test_an_impossible_target_is_refused() -> None:
    with pytest.raises(MaskwrightError, match=r"no swiftnet needs only 0\.001 times") as caught:
        student_of(card("swiftnet"), 0.001)
    assert caught.value.key == "target"


@pytest.mark.parametrize("target", ["2x", "0", "half", 1, "-0.5x"])
def test_a_target_is_a_share(target: Any) -> None:
    with pytest.raises(MaskwrightError, match="must be a share of the model's multiply-adds between 0 and 1"):
        mw.CompressRequest(target=target)


def test_two_lengths_are_refused() -> None:
    with pytest.raises(MaskwrightError, match="each set the length of the training"):
        mw.CompressRequest(budget="1m", steps=3)


def test_a_student_learns_from_the_teacher_and_is_compared(teacher: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["compress", str(teacher), "--steps", "3", "--device", "cpu", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    out = teacher.with_name("run-0.5x")
    assert answer["run"] == str(out)
    theirs, ours = read_plan(teacher / "plan.yaml"), read_plan(out / "plan.yaml")
    assert ours.distill.teacher == str(teacher / "model.safetensors")
    assert ours.data == theirs.data
    assert json.loads((out / "split.json").read_text()) == json.loads((teacher / "split.json").read_text())
    assert "distillation_loss" in (out / "history.csv").read_text()
    assert answer["student"]["multiply_adds"] <= 0.5 * answer["teacher"]["multiply_adds"]
    assert answer["images"] == toy.COUNTS["test"]
    own = mw.evaluate(out, teacher.parent / "data", out=out / "again").scores.score.value
    assert answer["student"]["score"][0] == pytest.approx(own)
    theirs_score = mw.evaluate(teacher, teacher.parent / "data", out=out / "theirs").scores.score.value
    assert answer["change"][0] == pytest.approx(own - theirs_score)
    assert json.loads((out / "compression.json").read_text())["student"] == answer["student"]


def test_the_same_student_without_a_teacher(teacher: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[Path] = []
    load = Predictor.load

    def counted(run: Path, *arguments: Any, **options: Any) -> Predictor:
        loaded.append(run)
        return load(run, *arguments, **options)

    monkeypatch.setattr(Predictor, "load", counted)
    result = mw.compress(teacher, steps=2, alone=True, device="cpu")
    assert loaded == [teacher, result.run]  # once each, for the scores and the times
    assert result.run.name == "run-0.5x-alone"
    assert read_plan(result.run / "plan.yaml").distill.teacher is None


def test_a_model_without_maps_is_refused(teacher: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from maskwright.workflows import compress

    monkeypatch.setattr(compress.bundle, "read_card", lambda _path: card("forest"))
    with pytest.raises(MaskwrightError, match="forest does not learn maps"):
        mw.compress(teacher)


def test_a_folder_without_a_run_is_refused(tmp_path: Path, teacher: Path) -> None:
    shutil.copyfile(teacher / "model.safetensors", tmp_path / "model.safetensors")
    with pytest.raises(MaskwrightError, match="is not the folder of a finished run"):
        mw.compress(tmp_path)
