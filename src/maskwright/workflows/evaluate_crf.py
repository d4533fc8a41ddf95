"""Evaluate a model without and with the dense CRF behind it, fitted where it is not yet. Prints nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from maskwright.core.errors import MaskwrightError
from maskwright.core.plan import PostprocessPlan
from maskwright.inference.predictor import MODEL_FILE, Predictor
from maskwright.models import bundle
from maskwright.workflows import crf
from maskwright.workflows.evaluate import opened

if TYPE_CHECKING:
    from pathlib import Path

    from maskwright.core.events import OnProgress
    from maskwright.data.formats import ReadOptions
    from maskwright.models.segmenter import Segmenter
    from maskwright.workflows.evaluate import Case, EvaluateResult


def evaluate_crf(
    run: Path,
    root: Path,
    split: str = "test",
    *,
    read: ReadOptions | None = None,
    out: Path | None = None,
    device: str = "auto",
    on_progress: OnProgress | None = None,
) -> EvaluateResult:
    """Score a model with the dense CRF, and say what it brings.

    The arguments are those of `evaluate`; the files are `metrics-SPLIT-crf.json` and `report-SPLIT-crf.html`. Where
    the model holds no parameters yet, they are fitted on validation images first, and the model file keeps them for
    `predict`.

    Raises:
        MaskwrightError: as `evaluate`, or there is neither a fitted CRF nor a validation image to fit it on.
    """
    case = opened(run, root, split, read, device)
    found = _fitted(case)
    settings = case.predictor.card.postprocess.crf
    with_crf = Predictor(case.predictor.segmenter, case.predictor.card, case.predictor.device, crf=settings)
    half = len(case.records)

    def first(done: int, _total: int) -> None:
        if on_progress:
            on_progress(done, 2 * half)

    def second(done: int, _total: int) -> None:
        first(half + done, 2 * half)

    plain, refined = case.judged(case.predictor, first), case.judged(with_crf, second)
    gain = crf.gain(plain, refined)
    case.notes.extend(crf.gain_lines(gain))
    assert settings is not None
    more: dict[str, Any] = {"crf": {"settings": settings.model_dump(), "fitted": found, "means": gain}}
    result = case.written(out, refined, with_crf, more)
    return replace(result, gain=gain)


def _fitted(case: Case) -> dict[str, Any] | None:
    """Fit the parameters where the model has none, and keep them in its file; return what was found."""
    card = case.predictor.card
    if card.postprocess.crf is not None:
        return None
    records = [record for record in case.dataset.records if record.annotation and record.split == "val"]
    found = crf.fit(case.predictor, case.dataset, records)
    if found is None:
        raise MaskwrightError(
            f"{case.run} holds no parameters of a dense CRF, and {case.dataset.root} has no validation image (or no "
            "second class) to fit them on: give data with a val part, or train with --set postprocess.crf={}"
        )
    card.postprocess = PostprocessPlan(crf=found.settings)
    segmenter = cast("Segmenter", case.predictor.segmenter)
    bundle.save(case.run / MODEL_FILE if case.run.is_dir() else case.run, segmenter, card)
    case.notes.append(f"{crf.said(found)}; the model file keeps the parameters")
    if case.split in {"val", "all"}:
        case.notes.append("the CRF was fitted on some of the images judged here, so its gain is flattered")
    return crf.to_json(found)
