"""Fit the postprocessors that a plan asks for, after the network is trained. Trains nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from maskwright.core.events import Note
from maskwright.core.plan import PostprocessPlan
from maskwright.postprocess import find_postprocessor
from maskwright.workflows.evaluate_parts import postprocess_fit

if TYPE_CHECKING:
    from maskwright.inference.predictor import Predictor
    from maskwright.workflows.train_parts.training_run import TrainingRun


@dataclass
class PostprocessFit:
    """The postprocessors that were fitted.

    Attributes:
        kept: their settings for the model file.
        shown: their settings in the plan of the report.
        metrics: name -> result on validation images, for metrics.json.
        notes: sentences for the report.
        reasons: key of the plan -> why it is as shown.
    """

    kept: PostprocessPlan = field(default_factory=PostprocessPlan)
    shown: PostprocessPlan = field(default_factory=PostprocessPlan)
    metrics: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    reasons: dict[str, str] = field(default_factory=dict)


def fit_postprocessors(training: TrainingRun, predictor: Predictor) -> PostprocessFit:
    """Fit the postprocessors in the plan on validation images."""
    fit = PostprocessFit()
    for name, start in training.plan.postprocess:
        if start is not None:
            _fit(training, predictor, name, start, fit)
    return fit


def _fit(training: TrainingRun, predictor: Predictor, name: str, start: Any, fit: PostprocessFit) -> None:
    method = find_postprocessor(name)
    dataset, label = training.material.dataset, method.label
    deadline = training.budget.within_report(training.budget.postprocess_seconds())
    found = postprocess_fit.fit(name, predictor, dataset, training.part("val"), start, deadline)
    if found is None:
        kept = start if start != type(start)() else None
        keeps = "no settings" if kept is None else "the plan's own settings"
        sentence = f"no validation image to fit the {label} on can be read: the model keeps {keeps}"
        fit.notes += [sentence, f"the scores here are without the {label}"]
    else:
        kept = found.settings if found.helps else None
        sentence = found.sentence() + ("" if found.helps else ", and the model keeps no settings")
        compare = f"`maskwright evaluate {training.run} {dataset.root} --postprocess {name}` compares"
        fit.notes += [sentence, f"the scores here are without the {label}: {compare}"]
        fit.metrics[name] = found.to_json()
    training.on_event(Note(sentence))
    setattr(fit.kept, name, kept)
    setattr(fit.shown, name, kept)
    if found is not None or kept is None:
        none = "the model keeps none: see the notes above; the plan had"
        why = none if kept is None else "fitted on validation images, from"
        fit.reasons[f"postprocess.{name}"] = f"{why} {method(start).describe()}"
