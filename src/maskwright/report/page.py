"""The report page: one HTML file that needs only a browser. Knows which parts there are, not what they say.

All user data is escaped by the template engine or by `svg.tag`; in addition, a content security policy forbids the page
to load anything or to run any script but its own, whatever its text contains.
"""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any

from maskwright.core.durations import format_seconds
from maskwright.core.files import write_text
from maskwright.core.text import count, finite, percent, plural
from maskwright.report import edges, facts, gain, matrix, objects, pictures, tables
from maskwright.report.charts import interval_scale, reliability
from maskwright.report.content import Example, ReportData
from maskwright.report.curves import curves
from maskwright.report.engine import page_engine
from maskwright.report.findings import findings
from maskwright.report.svg import Svg

if TYPE_CHECKING:
    from pathlib import Path

    from maskwright.core.plan import Plan
    from maskwright.metrics.scores import Bin, Calibration

__all__ = ["Example", "ReportData", "render", "write_report"]

HELD_OUT = {
    "test": "held-out test images",
    "val": "validation images",
    "train": "training images",
    "all": "all images in the folder",
}


def write_report(path: Path, data: ReportData) -> None:
    """Write the report as one self-contained HTML file, atomically.

    Args:
        path: of the file, usually `report.html` in the run folder.
        data: what it shows; parts that are empty or None are left out.

    Raises:
        MaskwrightError: the file cannot be written.
    """
    write_text(path, render(data))


def render(data: ReportData) -> str:
    """Return the whole page as text."""
    engine = page_engine()
    script = engine.get_template("script.js").render()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    parts = {
        **_summary(data),
        **_scores(data),
        **_examples(data),
        **_training(data),
        **_data(data),
        "environment": list(data.environment.items()),
        "exports": None,  # a model is exported later, see `report.exports`
    }
    return engine.get_template("page.html.j2").render(
        title=data.title, script=Svg(script), script_hash=f"sha256-{digest}", **parts
    )


def _summary(data: ReportData) -> dict[str, Any]:
    metric, mean = data.scores.headline_metric, data.scores.score
    words = tables.headline(data.scores)
    name = data.scores.headline_words
    name = name[:1].upper() + name[1:]
    bar = None
    if mean.value is not None and words is not None and metric.unit == "share":
        title = f"{name} {words[0]}" + (f", 95% interval {words[1]}" if words[1] else "")
        bar = interval_scale(mean.value, finite(mean.low), finite(mean.high), title=title)
    return {
        "headline_label": name,
        "scored": _scored(data),
        "scope": data.scores.scope,
        "postprocessor": data.postprocessor,
        "gain": gain.rows(data.gain, data.scores.metrics, gain.in_percent),
        "headline": words,
        "headline_bar": bar,
        "summary": _key_facts(data),
        "findings": findings(data),
    }


def _scored(data: ReportData) -> str:
    behind = f", with the {data.postprocessor}" if data.postprocessor else ""
    several = HELD_OUT.get(data.split, f"images of {data.split}" if data.split else "images")
    one = f"one {several.removeprefix('all ').replace('images', 'image', 1)}"
    return f"{one if data.scores.images == 1 else several}{behind}"


def _key_facts(data: ReportData) -> list[tuple[str, str]]:
    scores = data.scores
    scored = plural(scores.images, "image")
    if scores.groups not in {0, scores.images}:
        scored += f" in {plural(scores.groups, 'group')}"
    found = [("Scored on", f"{scored}, split {data.split}" if data.split else scored)]
    found += _without_background(data)
    if data.plan is not None:
        found.append(("Model", _model(data.plan)))
    seconds = finite(data.history[-1].get("seconds")) if data.history else None
    if seconds is not None:
        steps = finite(data.history[-1].get("step"))
        steps_made = f"{count(steps)} steps in " if steps else ""
        found.append(("Training", f"{steps_made}{format_seconds(seconds)}, without planning and evaluation"))
    if data.fingerprint is not None:
        found.append(("Data", ", ".join([plural(data.fingerprint.images, "image"), *_classes(data)])))
    elif scores.classes:
        found.append(("Classes", count(len(data.classes))))
    return found


def _without_background(data: ReportData) -> list[tuple[str, str]]:
    """Return the headline metric without the background, which is large and easy, and so raises the mean."""
    nothing, metric = data.classes.background, data.scores.headline_metric
    values = [
        (entry.name, value)
        for index, entry in enumerate(data.scores.classes)
        if index != nothing and (value := entry[metric.key].value) is not None
    ]
    if nothing is None or not values or metric.unit != "share":
        return []
    if len(values) == 1:
        return [(f"{metric.label} of {values[0][0]}", percent(values[0][1]))]
    mean = sum(value for _, value in values) / len(values)
    return [(f"{metric.label} without background", percent(mean))]


def _classes(data: ReportData) -> list[str]:
    """Return the number of classes in words; nothing for a task without classes."""
    return [plural(len(data.classes), "class", "classes")] if data.scores.classes else []


def _model(plan: Plan) -> str:
    backbone = f" on {plan.model.backbone}" if plan.model.backbone else ""
    start = ", pretrained" if plan.model.pretrained or plan.model.weights else ", from scratch"
    return f"{plan.model.name}{backbone}{start}"


def _scores(data: ReportData) -> dict[str, Any]:
    names = [entry.name for entry in data.scores.classes]
    rows = data.scores.confusion
    drawable = len(rows) > 1 and any(any(row) for row in rows)
    return {
        "means": tables.mean_rows(data.scores),
        "class_metrics": tables.class_metrics(data.scores),
        "class_rows": tables.class_rows(data.scores, data.classes),
        "definitions": data.scores.metrics,
        "heat_map": matrix.heat_map(rows, names) if drawable else None,
        "heat_shades": [(label, matrix.shade(part)) for label, part in matrix.LEGEND],
        "heat_left_out": len(rows) - len(matrix.shown_classes(rows)) if drawable else 0,
        "confusions": matrix.confusions(rows, names) if drawable else [],
        "calibration": _calibration(data.scores.calibration),
        **objects.charts(data.scores.objects),
        **edges.charts(data.scores),
    }


def _calibration(calibration: Calibration | None) -> list[tuple[str, str, Svg]]:
    """Return the diagrams as (heading, error, drawing): none where no confidences were measured."""
    if calibration is None or not any(entry.share for entry in calibration.bins):
        return []
    diagrams = [_diagram("Before temperature scaling", calibration.ece, calibration.bins)]
    if calibration.ece_scaled is not None and calibration.bins_scaled:
        heading = f"After temperature scaling (T = {calibration.temperature:.2f})"
        diagrams.append(_diagram(heading, calibration.ece_scaled, calibration.bins_scaled))
    return diagrams


def _diagram(heading: str, error: float, bins: tuple[Bin, ...]) -> tuple[str, str, Svg]:
    drawn = reliability(
        f"Reliability diagram, {heading}: expected calibration error {percent(error)}",
        [(entry.confidence, entry.accuracy, entry.share) for entry in bins],
    )
    return heading, percent(error), drawn


def _examples(data: ReportData) -> dict[str, Any]:
    shown = pictures.pictures(data.examples)
    middle = (len(shown) + 1) // 2
    every = len(shown) >= data.scores.images
    if every or len(shown) < 2:
        groups = [("Every image scored" if every else "An image", shown)] if shown else []
    else:
        groups = [("The worst images", shown[:middle]), ("The best images", shown[middle:])]
    metric = data.scores.image_headline
    classes, errors = pictures.legends(data.examples)
    return {
        "examples": groups,
        "example_metric": metric,
        "written": lambda value: f"{tables.write(metric, value)}{tables.unit(metric)}",
        "class_legend": [(words, tables.css_of(color)) for words, color in classes],
        "error_legend": [(words, tables.css_of(color)) for words, color in errors],
    }


def _training(data: ReportData) -> dict[str, Any]:
    reasoned, rest = facts.decisions(data.plan) if data.plan is not None else ([], [])
    return {"curves": curves(data.history, data.scores.headline_metric), "decisions": reasoned, "settings": rest}


def _data(data: ReportData) -> dict[str, Any]:
    found = data.fingerprint
    return {
        "data_facts": facts.data_facts(found) if found else [],
        "data_splits": facts.split_names(found) if found else [],
        "data_classes": facts.class_facts(found, data.classes) if found and data.scores.classes else [],
        "faults": facts.fault_groups(found.faults, found.root) if found else [],
        "has_data": found is not None,
    }
