"""What a model costs on this machine, and what its settings of quality buy."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
import psutil

from maskwright.core.answers import Answer, Cure, Figure, Grid
from maskwright.core.channels import emits_objects
from maskwright.core.errors import MaskwrightError
from maskwright.core.paths import model_file
from maskwright.core.resources import cores
from maskwright.core.text import compact, percent, plural
from maskwright.diagnosis.layer_times import part_times
from maskwright.inference.engine import TorchEngine
from maskwright.inference.opening import milliseconds
from maskwright.inference.predictor import Predictor
from maskwright.models.cost import count, planned_network
from maskwright.postprocess import POSTPROCESSORS, check_channels
from maskwright.workflows.diagnose_parts.figures import change

if TYPE_CHECKING:
    from collections.abc import Iterator

    from maskwright.core.answers import Cell
    from maskwright.core.records import Record
    from maskwright.workflows.diagnose_parts.study import Study

SHOWN = 10
FEWEST, MOST = 4, 40
"""Images that settings of quality are compared on."""
OVERLAPS = (0.0, 0.25, 0.5)
STRIDES = (4, 8, 16)


def cost(study: Study, deadline: float) -> Iterator[Answer]:
    """Measure time, memory and size, and what single settings change in score and time."""
    yield _cost(study)
    yield _options(study, deadline)


def _cost(study: Study) -> Answer:
    predictor, card = study.predictor, study.predictor.card
    question = "What does it need in computing, memory and storage?"
    height, width = card.predict.tile_size
    size = model_file(study.run).stat().st_size / 1e6
    pixels = sum(look.truth.size for look in study.looks)
    megapixel = 1000 * study.seconds_each * len(study.looks) / max(pixels / 1e6, 1e-9)
    figures = [
        Figure("time for a megapixel, reading and scoring included", megapixel, unit="ms"),
        Figure("size of the model file", size, unit="MB"),
        Figure("memory of this process", psutil.Process().memory_info().rss / 1e6, unit="MB"),
    ]
    engine = predictor.engine
    if emits_objects(card.channels) or not isinstance(engine, TorchEngine):
        verdict = f"A megapixel takes {megapixel / 1000:.2g} s here; the model file has {size:.1f} MB."
        return Answer("cost", question, verdict, figures=tuple(figures), method=_machine())
    tile = milliseconds([engine], card)[0]
    trained = planned_network(card.model, card.channels, card.data.channels)
    counted = count(trained, card.data.channels)
    figures.insert(0, Figure(f"time of the network for one tile of {height} x {width}", tile, unit="ms"))
    image = np.random.default_rng(0).integers(0, 256, (height, width, card.data.channels), np.uint8)
    parts = sorted(part_times(engine, image, trained), key=lambda part: -part.milliseconds)
    total = sum(part.milliseconds for part in parts)
    grid = Grid(
        "Parts of the network, the slowest first",
        ("part", "time", "of all", "parameters"),
        tuple(
            (
                part.name,
                Figure("", part.milliseconds, unit="ms"),
                percent(part.milliseconds / total),
                compact(part.parameters),
            )
            for part in parts[:SHOWN]
        ),
    )
    verdict = (
        f"One tile of {height} x {width} pixels takes {tile:.0f} ms here, a megapixel {megapixel / 1000:.2g} s with "
        f"reading and scoring; {compact(counted.parameters)} parameters, {size:.1f} MB, "
        f"{counted.multiply_adds / 1e9:.3g} billion multiply-adds for 512 x 512 pixels."
    )
    cures = (
        Cure("Other engines and int8 may be faster here; the export says how much, and compares the masks.", "export",
             (str(study.run),), {"to": "openvino"}),
        Cure("A narrower model, taught by this one.", "compress", (str(study.run),), {"target": "0.5x"}),
    )  # fmt: skip
    return Answer("cost", question, verdict, figures=tuple(figures), grids=(grid,), cures=cures, method=_machine())


def _machine() -> str:
    return f"Measured on this machine, with {plural(cores(), 'core')}; other programs running now slow it down."


def _options(study: Study, deadline: float) -> Answer:
    """Change one setting of the prediction at a time, and compare score and time."""
    question = "What do its settings of quality buy: flip, overlap, stride, postprocessing?"
    variants = list(_variants(study))
    records = _sample(study, deadline, len(variants) + 1)
    started = time.monotonic()
    base = study.scored(records=records)
    usual = (time.monotonic() - started) / max(1, len(records))
    rows: list[tuple[Cell, ...]] = []
    best = ("", 0.0, Figure("", None))
    for name, predictor in variants:
        if time.monotonic() > deadline and rows:
            rows.append((name, "not measured", "", ""))
            continue
        started = time.monotonic()
        found = study.scored(records=records, predictor=predictor)
        taken = (time.monotonic() - started) / max(1, len(records))
        figure = change(base, found)
        rows.append((name, figure, f"{taken / usual:.2f} x", f"{1000 * taken:.0f} ms"))
        if figure.low is not None and figure.low > best[1]:
            best = (name, figure.low, figure)
    metric = base.headline_metric
    if not rows:
        return Answer("options", question, "This model has no settings of quality to change.", "open")
    gain = best[2].value
    verdict = (
        f"None raises the {metric.label} for certain."
        if gain is None
        else f"{best[0]} changes the {metric.label} by {best[2]}."
    )
    grid = Grid(
        f"Change of {metric.label} and time, one setting at a time",
        ("setting", metric.label, "time", "an image"),
        tuple(rows),
    )
    return Answer(
        "options",
        question,
        verdict,
        "good" if gain is None else "note",
        max(0.0, gain or 0.0),
        grids=(grid,),
        cures=_cure(study, best[0]),
        method=f"The same {plural(len(records), 'held-out image')}, predicted with each setting.",
    )


def _variants(study: Study) -> Iterator[tuple[str, Predictor]]:
    """Yield predictors that differ from the model's in one setting."""
    predictor = study.predictor
    card = predictor.card
    plan = card.predict
    settings: list[tuple[str, dict[str, float]]] = [(f"flip {'off' if plan.flip else 'on'}", {"flip": not plan.flip})]
    settings += [(f"overlap {percent(share, 0)}", {"overlap": share}) for share in OVERLAPS if share != plan.overlap]
    for name, change_ in settings:
        changed = card.model_copy(update={"predict": plan.model_copy(update=change_)})
        yield name, Predictor(predictor.engine, changed, predictor.postprocessor)
    if not isinstance(predictor.engine, TorchEngine):
        return
    for stride in STRIDES:
        if stride != plan.output_stride:
            try:
                yield f"stride {stride}", Predictor.load(study.run, study.request.device, output_stride=stride)
            except MaskwrightError:
                break  # the network has one stride only
    for name, entry in POSTPROCESSORS.items():
        try:
            check_channels(name, card.channels)
        except MaskwrightError:
            continue  # it needs channels that this network does not have
        yield entry.label, Predictor.load(study.run, study.request.device, postprocess=name)


def _sample(study: Study, deadline: float, scorings: int) -> list[Record]:
    possible = (deadline - time.monotonic()) / max(study.seconds_each, 1e-3) / (2 * scorings)
    return study.drawn(int(min(MOST, max(FEWEST, possible))), "options")


def _cure(study: Study, name: str) -> tuple[Cure, ...]:
    """Return the command that predicts with the best setting, where there is one."""
    names = {entry.label: key for key, entry in POSTPROCESSORS.items()}
    if name in names:
        why = f"The {name}, fitted on validation images and kept in the model."
        options: dict[str, str | tuple[str, ...]] = {"postprocess": names[name]}
        return (Cure(why, "evaluate", (str(study.run), str(study.dataset.root)), options),)
    if name.startswith("stride"):
        return (Cure(f"Predicts with {name}.", "predict", (str(study.run), "IMAGES"), {"output_stride": name[7:]}),)
    settings = {"flip on": "predict.flip=true", "flip off": "predict.flip=false"}
    setting = settings.get(name) or (f"predict.overlap={float(name[8:-1]) / 100:g}" if name else "")
    if not setting:
        return ()
    options = {"from_run": str(study.run), "settings": (setting,)}
    return (
        Cure(
            f"Trains on from this model, with {name} in the prediction.", "train", (str(study.dataset.root),), options
        ),
    )
