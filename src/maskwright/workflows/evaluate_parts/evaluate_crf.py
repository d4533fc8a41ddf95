"""Evaluate a model without and with the dense CRF behind it, fitted where it is not yet. Prints nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from maskwright.core.errors import MaskwrightError
from maskwright.core.paths import model_file
from maskwright.core.plan import CrfPlan, PostprocessPlan
from maskwright.inference.predictor import Predictor
from maskwright.models import bundle
from maskwright.workflows.evaluate_parts import crf

if TYPE_CHECKING:
    from maskwright.core.events import OnProgress
    from maskwright.models.segmenter import Segmenter
    from maskwright.postprocess.search import Found
    from maskwright.workflows.evaluate_parts.evaluation import Case, EvaluateResult


def judged_with_crf(case: Case, on_progress: OnProgress | None) -> EvaluateResult:
    """Score a model with the dense CRF, and say what it brings.

    The files are `metrics-SPLIT-crf.json` and `report-SPLIT-crf.html`. Where the model holds no parameters yet, or
    where `refit` is asked for, they are fitted on validation images first, and the model file is written anew to keep
    them for `predict`: unless no CRF is better, for then it keeps none.

    Raises:
        MaskwrightError: there is something to fit and no validation image.
    """
    settings, found = _settings(case)
    if case.request.split in {"val", "all"}:
        case.notes.append("the CRF was fitted on validation images, and such judge here: its gain is flattered")
    case.notes.append("after the CRF, probabilities are not calibrated: the temperature is of the network's own")
    with_crf = Predictor(case.predictor.segmenter, case.predictor.card, case.predictor.device, crf=settings)
    half = len(case.records)

    def first(done: int, _total: int) -> None:
        if on_progress:
            on_progress(done, 2 * half)

    def second(done: int, _total: int) -> None:
        first(half + done, 2 * half)

    plain, refined = case.judged(case.predictor, first), case.judged(with_crf, second)
    gain = crf.gain(plain, refined)
    fitted = None if found is None else crf.to_json(found)
    more: dict[str, Any] = {"crf": {"settings": settings.model_dump(), "fitted": fitted, "means": gain}}
    return case.written(refined, with_crf, more, gain)


def _settings(case: Case) -> tuple[CrfPlan, Found | None]:
    """Return the model's parameters, fitted where it has none or a refit is asked for, and what was found then."""
    held = case.predictor.card.postprocess.crf
    if held is not None and not case.request.refit:
        return held, None
    records = [record for record in case.dataset.records if record.annotation and record.split == "val"]
    found = crf.fit(case.predictor, case.dataset, records, held or CrfPlan())
    if found is None:
        cure = "train with --set postprocess.crf={}" if held is None else "leave --refit out"
        raise MaskwrightError(
            f"{case.dataset.root} has no readable validation image to fit the dense CRF on: give data with a val part, "
            f"or {cure}"
        )
    case.notes.append(crf.said(found))
    kept = found.settings if found.helps else None
    case.notes.append("the model file stays as it is" if kept == held else _keep(case, kept))
    return found.settings, found


def _keep(case: Case, settings: CrfPlan | None) -> str:
    """Write the parameters into the model file, all else as it stands there, and say so."""
    file = model_file(case.run)
    # Its own card: that of the predictor may have another output stride.
    card = bundle.read_card(file).model_copy(update={"postprocess": PostprocessPlan(crf=settings)})
    try:
        bundle.save(file, cast("Segmenter", case.predictor.segmenter), card)
    except MaskwrightError:
        held = "still holds its old ones" if settings is None else "could not keep the parameters"
        return f"{file} {held}, as it cannot be written"
    stride = case.predictor.card.predict.output_stride
    if settings is None:
        return f"{file} was written anew, without the parameters that it held"
    fitted = "" if stride == card.predict.output_stride else f", fitted at output stride {stride}"
    return f"{file} was written anew and keeps the parameters{fitted}"
