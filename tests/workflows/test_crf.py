"""The dense CRF in the verbs: fitted by a training or an evaluation, kept in the model, shown, used."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from html import unescape
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
from lightning_fabric import Fabric
from PIL import Image
from tests.workflows import toy_data as toy

import maskwright as mw
from maskwright.core.errors import MaskwrightError
from maskwright.core.plan import CrfPlan, Plan, PostprocessPlan, SuperpixelsPlan
from maskwright.core.plan_file import overridden
from maskwright.core.time_budget import POSTPROCESS_SECONDS, TimeBudget
from maskwright.data.formats import ReadOptions, read_dataset
from maskwright.data.labels import read_label
from maskwright.data.readers import read_image
from maskwright.metrics.confusion import confusion_matrix, iou, mean_defined, per_class
from maskwright.models import bundle
from maskwright.postprocess import Sample, search
from maskwright.postprocess.dense_crf import DenseCrf
from maskwright.workflows.evaluate_parts import postprocess_fit, scoring
from maskwright.workflows.predict import opened, predict
from maskwright.workflows.predict_parts import scan_plan
from maskwright.workflows.predict_request import PredictRequest
from maskwright.workflows.runs import run_folder
from maskwright.workflows.train import train
from maskwright.workflows.train_parts.finalize import _as_it_went
from maskwright.workflows.train_parts.fit import _evaluation_seconds
from maskwright.workflows.train_parts.postprocess import fit_postprocessors
from maskwright.workflows.train_parts.training_run import TrainingRun

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def quick() -> Iterator[None]:
    """Search one parameter only: how much is tried must not hang on the machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DenseCrf, "limits", {"w1": DenseCrf.limits["w1"]})
        patch.setattr(search, "FACTORS", (2.0,))
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy.write(tmp_path_factory.mktemp("crf") / "data")


@pytest.fixture(scope="module")
def fitted(data: Path, quick: None) -> Path:
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
    gains = [found["quality"][measure] - found["without"][measure] for measure in ("iou", "boundary_iou")]
    assert sum(gains) > 0, "what does not help is not kept"
    assert found["helps"]
    assert found["images"] == 2


def test_the_report_of_the_training_tells_of_it(fitted: Path, data: Path) -> None:
    settings = bundle.read_card(fitted / "model.safetensors").postprocess.crf
    assert settings is not None
    text = unescape((fitted / "report.html").read_text())
    assert "Dense CRF fitted on 2 validation images" in text
    assert f"without the dense CRF: `maskwright evaluate {fitted} {data} --postprocess crf` compares" in text
    row = text.partition("<code>postprocess.crf</code>")[2].partition("</tr>")[0]
    assert f"w1 {settings.w1:g}," in row, "as fitted, and not as it began"
    assert "fitted on validation images, from w1 4," in row


def test_evaluation_shows_scores_without_and_with_it(fitted: Path, data: Path, tmp_path: Path) -> None:
    before = (fitted / "model.safetensors").read_bytes()
    result = mw.evaluate(fitted, data, out=tmp_path, postprocess="crf")
    plain = mw.evaluate(fitted, data, out=tmp_path)
    metrics = json.loads((tmp_path / "metrics-test-crf.json").read_text())
    for measure, row in metrics["crf"]["means"].items():
        assert row["without"] == plain.scores.mean[measure].value
        assert row["with"] == result.scores.mean[measure].value
        assert row["gain"] == pytest.approx(row["with"] - row["without"])
    assert set(metrics["crf"]["means"]) == {"iou", "boundary_iou"}
    assert result.gain == metrics["crf"]["means"]
    text = (tmp_path / "report-test-crf.html").read_text()
    assert ">Mean IoU on held-out test images, with the dense CRF<" in text
    section = text.partition('id="postprocessor"')[2].partition("</section>")[0]
    assert f"{100 * plain.scores.mean['iou'].value:.2f}%" in section
    assert "with the dense CRF" not in (tmp_path / "report-test.html").read_text()
    assert (fitted / "model.safetensors").read_bytes() == before, "what is fitted is fitted"
    assert not any("its gain is overestimated" in note for note in result.notes)


def test_evaluation_fits_what_no_training_did(bare: Path, data: Path) -> None:
    result = mw.evaluate(bare, data, postprocess="crf")
    assert "fitted on 2 validation images" in result.notes[0]
    kept = bundle.read_card(bare / "model.safetensors").postprocess.crf
    assert json.loads((bare / "metrics-test-crf.json").read_text())["crf"]["settings"] == kept.model_dump()
    assert opened(bare, "cpu", postprocess="crf")[1] == ()


def test_superpixels_are_fitted_and_used_in_the_same_way(bare: Path, data: Path) -> None:
    result = mw.evaluate(bare, data, postprocess="superpixels")
    assert result.notes[0].startswith("superpixel filter fitted on 2 validation images (")
    metrics = json.loads((bare / "metrics-test-superpixels.json").read_text())["superpixels"]
    kept = bundle.read_card(bare / "model.safetensors").postprocess
    assert kept.crf is None
    assert (kept.superpixels is not None) == metrics["fitted"]["helps"]
    assert metrics["means"] == result.gain
    assert "Effect of the superpixel filter" in (bare / "report-test-superpixels.html").read_text()
    model = mw.load(bare, "cpu", postprocess="superpixels")
    assert model.postprocessor is not None
    assert model.postprocessor.settings == (kept.superpixels or SuperpixelsPlan())


def test_images_that_it_was_fitted_on_do_not_judge_it_silently(bare: Path, data: Path) -> None:
    for _ in range(2):
        assert any(
            "its gain is overestimated" in note
            for note in mw.evaluate(bare, data, split="val", postprocess="crf").notes
        )


def no_help(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is tried, the network alone is better."""
    qualities = iter([search.Quality(0.5, 0.5)])
    monkeypatch.setattr(search, "quality", lambda *_: next(qualities, search.Quality(0.4, 0.5)))


def test_what_does_not_help_is_not_kept(bare: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_help(monkeypatch)
    result = mw.evaluate(bare, data, postprocess="crf")
    assert "the dense CRF did not help" in result.notes[0]
    assert "stays as it is" in result.notes[1]
    assert bundle.read_card(bare / "model.safetensors").postprocess.crf is None
    assert result.gain is not None, "it was asked for, so it is shown"


def test_refit_searches_anew(fitted: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = shutil.copytree(fitted, tmp_path / "run")
    no_help(monkeypatch)
    result = mw.evaluate(run, data, postprocess="crf", refit=True, device="cpu")
    assert "was rewritten without its settings" in result.notes[1]
    assert bundle.read_card(run / "model.safetensors").postprocess.crf is None
    with pytest.raises(MaskwrightError, match="`refit` fits a postprocessor again: name one with `postprocess`"):
        mw.evaluate(run, data, refit=True)


def test_a_file_that_cannot_be_written_does_not_lose_the_fit(
    bare: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise MaskwrightError("read-only")

    monkeypatch.setattr(bundle, "save", refuse)
    result = mw.evaluate(bare, data, postprocess="crf")
    assert f"{bare / 'model.safetensors'} could not keep the settings, because it cannot be written" in result.notes[1]
    assert json.loads((bare / "metrics-test-crf.json").read_text())["crf"]["fitted"]["images"] == 2


def test_the_stride_of_an_evaluation_does_not_stay_in_the_file(data: Path, tmp_path: Path) -> None:
    options = "model.options={widths: [8, 8, 16, 16], output_stride: 16}"
    train(data, toy.request("model.name=fcn", "model.backbone=compact", options, steps=1), tmp_path / "run")
    file = tmp_path / "run/model.safetensors"
    before, weights = bundle.read_card(file), toy.tensors(file)
    assert any(
        "calibrated" in note for note in mw.evaluate(tmp_path / "run", data, postprocess="crf", output_stride=8).notes
    )
    found = json.loads((tmp_path / "run/metrics-test-crf.json").read_text())
    assert found["output_stride"] == 8
    after = bundle.read_card(file)
    assert after.model_copy(update={"postprocess": before.postprocess}) == before
    assert toy.tensors(file).keys() == weights.keys()
    coarse, fine = (mw.evaluate(tmp_path / "run", data, output_stride=stride).scores for stride in (None, 8))
    assert coarse.to_json() != fine.to_json()


def task(run: Path, *, budget: float | None, notes: list[Any]) -> TrainingRun:
    """The training that left this run, as if it had so many seconds."""
    plan, material = run_folder.reopen(run, None)
    plan = plan.model_copy(update={"train": plan.train.model_copy(update={"budget_seconds": budget})})
    return TrainingRun(run, plan, material, Fabric(accelerator="cpu"), TimeBudget.of(budget), notes.append)


def test_the_budget_has_a_share_for_the_fit(fitted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "seconds_each", lambda *_: 0.5)
    wanted = task(fitted, budget=100, notes=[])
    assert wanted.postprocessors() == ["crf"]
    assert wanted.budget.postprocess_seconds() == 5
    unlimited = task(fitted, budget=None, notes=[]).budget
    assert unlimited.postprocess_seconds() == TimeBudget.of(3600).postprocess_seconds() == POSTPROCESS_SECONDS == 60
    network, _ = bundle.load(fitted / "model.safetensors")
    assert wanted.fit_seconds() == 3 + 5, "of the decoding and of the postprocessor"
    assert _evaluation_seconds(wanted, network) == 0.5 * 12 + 8 + 3
    plain = replace(wanted, plan=wanted.plan.model_copy(update={"postprocess": PostprocessPlan()}))
    assert plain.postprocessors() == []
    assert _evaluation_seconds(plain, network) == 0.5 * 12 + 3 + 3
    monkeypatch.setattr(scoring, "seconds_each", lambda *_: 1.0)
    assert _evaluation_seconds(wanted, network) == 0.15 * 100 + 3, "no more than the planner knows of"


@pytest.mark.parametrize("settings", [CrfPlan(), CrfPlan(w1=9)])
def test_what_nobody_fitted_is_not_saved_as_if(fitted: Path, settings: CrfPlan) -> None:
    notes: list[Any] = []
    one = task(fitted, budget=None, notes=notes)
    blind = replace(one.material.dataset, records=one.part("test"))
    one = replace(
        one,
        plan=one.plan.model_copy(update={"postprocess": PostprocessPlan(crf=settings)}),
        material=replace(one.material, dataset=blind),
    )
    behind = fit_postprocessors(one, mw.load(fitted, "cpu"))
    assert behind.kept == PostprocessPlan(crf=None if settings == CrfPlan() else settings)
    assert behind.metrics == {}
    assert not any("--postprocess" in note for note in behind.notes), "it would find nothing to fit on either"
    shown = _as_it_went(one.plan, behind).postprocess
    assert shown == behind.kept
    assert ("no settings" if settings == CrfPlan() else "plan's own settings") in notes[0].text


def test_a_training_keeps_none_that_does_not_help(fitted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_help(monkeypatch)
    notes: list[Any] = []
    one = task(fitted, budget=None, notes=notes)
    behind = fit_postprocessors(one, mw.load(fitted, "cpu"))
    assert behind.kept == PostprocessPlan()
    assert not behind.metrics["crf"]["helps"]
    assert _as_it_went(one.plan, behind).reasons["postprocess.crf"].startswith("the model keeps none")
    assert "did not help, and the model keeps no settings" in notes[0].text


def test_one_setting_is_no_search() -> None:
    quality = search.Quality(0.5, 0.5)
    found = search.Fit(DenseCrf, CrfPlan(), search.Quality(0.4, 0.4), quality, 1, 1)
    assert "1 validation image (there was time for only one setting)" in found.sentence()
    assert "9 settings tried" in replace(found, tried=9).sentence()


def test_nothing_to_fit_on_is_an_error(bare: Path, data: Path, tmp_path: Path) -> None:
    shutil.copytree(data / "images/test", tmp_path / "few/images/test")
    shutil.copytree(data / "masks/test", tmp_path / "few/masks/test")
    with pytest.raises(MaskwrightError, match="no readable validation image"):
        mw.evaluate(bare, tmp_path / "few", postprocess="crf")


def test_prediction_uses_what_the_model_holds(fitted: Path, data: Path, tmp_path: Path) -> None:
    model = mw.load(fitted, "cpu", postprocess="crf")
    assert isinstance(model.postprocessor, DenseCrf)
    assert model.postprocessor.settings == bundle.read_card(fitted / "model.safetensors").postprocess.crf
    result = mw.predict(model, data / "images/test", out=tmp_path)
    assert len(result.images) == 2
    assert mw.load(fitted, "cpu").postprocessor is None


def test_every_verb_applies_it_to_calibrated_probabilities(
    fitted: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that it is fitted on; without the temperature other pixels would change."""
    run = shutil.copytree(fitted, tmp_path / "run")
    segmenter, card = bundle.load(run / "model.safetensors")
    card.decoding, card.postprocess.crf = {"temperature": 0.2}, CrfPlan(theta_alpha=8)
    bundle.save(run / "model.safetensors", segmenter, card)
    model, seen = mw.load(run, "cpu", postprocess="crf"), list[Sample]()
    plain = model.with_postprocessor(None)
    images = {path.stem: read_image(path) for path in sorted((data / "images/test").iterdir())}
    labels = {name: model.predict(image).labels for name, image in images.items()}
    network = model.with_decoding({})
    assert any((network.predict(image).labels != labels[name]).any() for name, image in images.items())

    monkeypatch.setattr(DenseCrf, "fit", classmethod(lambda _cls, samples, *_: seen.extend(samples)))
    dataset = read_dataset(data, ReadOptions())
    records = [record for record in dataset.records if record.split == "test"]
    postprocess_fit.fit("crf", plain, dataset, records, CrfPlan())
    by_image = {sample.image.tobytes(): sample.maps for sample in seen}
    for image in images.values():
        np.testing.assert_array_equal(by_image[image.tobytes()], plain.maps(image).astype(np.float16))

    (tmp_path / "in").mkdir()
    for name, image in images.items():
        tifffile.imwrite(tmp_path / f"in/{name}.tif", image, photometric="rgb")
    predict(model, [data / "images/test"], tmp_path / "images", PredictRequest(["mask"]))
    monkeypatch.setattr(scan_plan, "SCAN_PIXELS", 1)
    predict(model, [tmp_path / "in"], tmp_path / "scans", PredictRequest(["mask"]))
    truth = [read_label(dataset, record, (48, 64)) for record in records]
    for name, wanted in labels.items():
        for path in (tmp_path / f"images/masks/{name}.png", tmp_path / f"scans/masks/{name}.tif"):
            np.testing.assert_array_equal(np.asarray(Image.open(path)), wanted)
    judged = sum(
        confusion_matrix(labels[record.image.path.stem], each, 3) for record, each in zip(records, truth, strict=True)
    )
    scores = mw.evaluate(run, data, out=tmp_path / "scores", postprocess="crf").scores
    assert scores.mean["iou"].value == pytest.approx(mean_defined(iou(per_class(judged))))


def test_a_model_without_settings_says_so(bare: Path) -> None:
    assert opened(bare, "cpu")[1] == ()
    predictor, (note,) = opened(bare, "cpu", postprocess="crf")
    assert predictor.postprocessor is not None
    assert predictor.postprocessor.settings == CrfPlan()
    assert "so the defaults are used (" in note
    assert "`maskwright evaluate RUN DATA --postprocess crf` fits them" in note


def test_the_plan_s_section_can_be_set_key_by_key() -> None:
    assert overridden(Plan(), ["postprocess.crf={}"]).postprocess.crf == CrfPlan()
    assert overridden(Plan(), ["postprocess.crf.w1=7"]).postprocess.crf == CrfPlan(w1=7)
    with pytest.raises(MaskwrightError, match="did you mean 'theta_beta'"):
        overridden(Plan(), ["postprocess.crf.theta_bta=7"])
    with pytest.raises(MaskwrightError, match=r"postprocess.crf.iterations is 0"):
        overridden(Plan(), ["postprocess.crf.iterations=0"])
