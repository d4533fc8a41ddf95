"""Evaluate a model without and with a postprocessor, which is fitted first if necessary. Prints nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskwright.core.errors import MaskwrightError
from maskwright.core.paths import MODEL_FILE, PARITY, model_file
from maskwright.models import bundle
from maskwright.postprocess import check_channels, find_postprocessor
from maskwright.workflows.evaluate_parts import postprocess_fit

if TYPE_CHECKING:
    from maskwright.core.events import OnProgress
    from maskwright.postprocess import Fitted, Postprocessor
    from maskwright.workflows.evaluate_parts.evaluation import EvaluateResult, Evaluation


SUFFIX = Path(MODEL_FILE).suffix


def scored_with_postprocessor(evaluation: Evaluation, name: str, on_progress: OnProgress | None) -> EvaluateResult:
    """Score a model with a postprocessor, and compare.

    The files are `metrics-SPLIT-NAME.json` and `report-SPLIT-NAME.html`. Where the model holds no settings yet, or
    where `refit` is asked for, they are fitted on validation images first, and written into the model file for
    `predict`. If the network alone is better, the file keeps no settings.

    Raises:
        MaskwrightError: there is something to fit and no validation image, or the maps are not class probabilities.
    """
    check_channels(name, evaluation.predictor.card.channels)
    _check_file(evaluation, name)
    postprocessor, found = _fitted(evaluation, name)
    label = postprocessor.label
    if evaluation.request.split in {"val", "all"}:
        evaluation.notes.append(
            f"the {label} was fitted on validation images, and some of them are scored here: its gain is overestimated"
        )
    if "temperature" in evaluation.predictor.card.decoding:
        evaluation.notes.append(
            f"after the {label}, probabilities are not calibrated: the temperature belongs to the network alone"
        )
    with_it = evaluation.predictor.with_postprocessor(postprocessor)
    half = len(evaluation.records)

    def first(done: int, _total: int) -> None:
        if on_progress:
            on_progress(done, 2 * half)

    def second(done: int, _total: int) -> None:
        first(half + done, 2 * half)

    plain, refined = evaluation.scored(evaluation.predictor.in_tiles(), first), evaluation.scored(with_it, second)
    gain = postprocess_fit.gain(plain, refined, postprocessor.improves)
    fitted = None if found is None else found.to_json()
    more: dict[str, Any] = {name: {"settings": postprocessor.settings.model_dump(), "fitted": fitted, "means": gain}}
    return evaluation.written(refined, with_it, more, gain)


def _check_file(evaluation: Evaluation, name: str) -> None:
    """Refuse a fit whose result cannot be kept, before it begins: an export stays what was compared with its model.

    Raises:
        MaskwrightError: something must be fitted, and the model file is an export.
    """
    file = model_file(evaluation.run)
    held = getattr(evaluation.predictor.card.postprocess, name)
    exported = file.suffix != SUFFIX or file.with_name(PARITY).is_file()
    if exported and (held is None or evaluation.request.refit):
        raise MaskwrightError(
            f"{file} is an export, and what is fitted for {name} cannot be written into it: evaluate the run, which "
            "fits and keeps the settings, and export it again",
            "postprocess",
        )


def _fitted(evaluation: Evaluation, name: str) -> tuple[Postprocessor, Fitted | None]:
    """Return the model's postprocessor and the result of its fit, if a missing one or `refit` made a fit necessary."""
    method = find_postprocessor(name)
    held = getattr(evaluation.predictor.card.postprocess, name)
    if held is not None and not evaluation.request.refit:
        return method(held), None
    records = [record for record in evaluation.dataset.records if record.annotation and record.split == "val"]
    start = method(held).settings
    found = postprocess_fit.fit(name, evaluation.predictor, evaluation.dataset, records, start)
    if found is None:
        cure = f"train with `postprocess.{name}={{}}`" if held is None else "leave `refit` out"
        raise MaskwrightError(
            f"{evaluation.dataset.root} has no readable validation image to fit the {method.label} on: give data with "
            f"a val split, or {cure}"
        )
    evaluation.notes.append(found.sentence())
    kept = found.settings if found.helps else None
    evaluation.notes.append("the model file stays as it is" if kept == held else _keep(evaluation, name, kept))
    return method(found.settings), found


def _keep(evaluation: Evaluation, name: str, settings: Any) -> str:
    """Write the settings into the model file, leave the rest unchanged, and add a note."""
    file = model_file(evaluation.run)
    segmenter, card = bundle.load(file)  # the file's own: the predictor may have another output stride
    postprocess = card.postprocess.model_copy(update={name: settings})
    try:
        bundle.save(file, segmenter, card.model_copy(update={"postprocess": postprocess}))
    except MaskwrightError:
        held = "still has its old settings" if settings is None else "could not keep the settings"
        return f"{file} {held}, because it cannot be written"
    stride = evaluation.predictor.card.predict.output_stride
    if settings is None:
        return f"{file} was rewritten without its settings"
    fitted = "" if stride == card.predict.output_stride else f", fitted at output stride {stride}"
    return f"{file} was rewritten with the settings{fitted}"
