"""The dense CRF in the verbs: fitted by a training or an evaluation, kept in the model, shown, used."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest
import torch
from tests.workflows import toy_data as toy

import maskwright as mw
from maskwright.core.errors import MaskwrightError
from maskwright.core.plan import CrfPlan, Plan
from maskwright.core.plan_file import overridden
from maskwright.models import bundle
from maskwright.workflows import crf
from maskwright.workflows.evaluate import evaluate
from maskwright.workflows.evaluate_crf import evaluate_crf
from maskwright.workflows.train import train

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy.write(tmp_path_factory.mktemp("crf") / "data")


@pytest.fixture(scope="module")
def fitted(data: Path) -> Path:
    """A training whose plan wants the CRF."""
    train(data, toy.request("postprocess.crf={iterations: 2, theta_alpha: 8}", steps=2), data.parent / "fitted")
    return data.parent / "fitted"


@pytest.fixture
def bare(fitted: Path, tmp_path: Path) -> Path:
    """The same run without CRF parameters."""
    run = shutil.copytree(fitted, tmp_path / "bare")
    segmenter, card = bundle.load(run / "model.safetensors")
    card.postprocess.crf = None
    bundle.save(run / "model.safetensors", segmenter, card)
    return run


def test_training_fits_it_and_says_what_it_brings(fitted: Path) -> None:
    settings = bundle.read_card(fitted / "model.safetensors").postprocess.crf
    assert settings is not None
    assert settings.iterations == 2
    found = json.loads((fitted / "metrics.json").read_text())["crf"]
    assert found["settings"] == settings.model_dump()
    assert found["quality"]["iou"] + found["quality"]["boundary_iou"] > 0
    assert found["images"] == 2


def test_evaluation_shows_scores_without_and_with_it(fitted: Path, data: Path, tmp_path: Path) -> None:
    before = (fitted / "model.safetensors").read_bytes()
    result = evaluate_crf(fitted, data, out=tmp_path)
    plain = evaluate(fitted, data, out=tmp_path)
    metrics = json.loads((tmp_path / "metrics-test-crf.json").read_text())
    for measure, row in metrics["crf"]["means"].items():
        assert row["without"] == plain.scores.mean[measure].value
        assert row["with"] == result.scores.mean[measure].value
        assert row["gain"] == pytest.approx(row["with"] - row["without"])
    assert set(metrics["crf"]["means"]) == {"iou", "boundary_iou"}
    assert sum("without the dense CRF" in note for note in result.notes) == 2
    assert "without the dense CRF" in (tmp_path / "report-test-crf.html").read_text()
    assert (fitted / "model.safetensors").read_bytes() == before, "what is fitted is fitted"


def test_evaluation_fits_what_no_training_did(bare: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crf, "SECONDS", 0.2)
    result = evaluate_crf(bare, data)
    assert "fitted on 2 validation images" in result.notes[0]
    kept = bundle.read_card(bare / "model.safetensors").postprocess.crf
    assert json.loads((bare / "metrics-test-crf.json").read_text())["crf"]["settings"] == kept.model_dump()
    assert crf.load_with_crf(bare, "cpu")[1] is None


def test_images_that_it_was_fitted_on_do_not_judge_it_silently(
    bare: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crf, "SECONDS", 0.0)
    assert any("flattered" in note for note in evaluate_crf(bare, data, "val").notes)


def test_nothing_to_fit_on_is_an_error(bare: Path, data: Path, tmp_path: Path) -> None:
    shutil.copytree(data / "images/test", tmp_path / "few/images/test")
    shutil.copytree(data / "masks/test", tmp_path / "few/masks/test")
    with pytest.raises(MaskwrightError, match="no validation image"):
        evaluate_crf(bare, tmp_path / "few")


def test_prediction_uses_what_the_model_holds(fitted: Path, data: Path, tmp_path: Path) -> None:
    model = mw.load(fitted, "cpu", crf=True)
    assert model.crf == bundle.read_card(fitted / "model.safetensors").postprocess.crf
    result = mw.predict(model, data / "images/test", out=tmp_path)
    assert len(result.images) == 2
    assert mw.load(fitted, "cpu").crf is None


def test_a_model_without_parameters_says_so(bare: Path) -> None:
    predictor, note = crf.load_with_crf(bare, "cpu")
    assert predictor.crf == CrfPlan()
    assert note is not None
    assert "usual ones" in note


def test_the_plan_s_section_can_be_set_key_by_key() -> None:
    assert overridden(Plan(), ["postprocess.crf={}"]).postprocess.crf == CrfPlan()
    assert overridden(Plan(), ["postprocess.crf.w1=7"]).postprocess.crf == CrfPlan(w1=7)
    with pytest.raises(MaskwrightError, match="did you mean 'theta_beta'"):
        overridden(Plan(), ["postprocess.crf.theta_bta=7"])
    with pytest.raises(MaskwrightError, match=r"postprocess.crf.iterations is 0"):
        overridden(Plan(), ["postprocess.crf.iterations=0"])
