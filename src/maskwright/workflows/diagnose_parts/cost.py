"""What a model costs on this machine, and what its settings of quality buy."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil

from maskwright.core.answers import Answer, Cure, Figure, Grid
from maskwright.core.channels import emits_objects
from maskwright.core.durations import format_seconds
from maskwright.core.errors import MaskwrightError
from maskwright.core.paths import model_file
from maskwright.core.resources import cores
from maskwright.core.text import compact, percent, plural
from maskwright.diagnosis.layer_memory import WHOLE, part_memory
from maskwright.diagnosis.layer_times import part_times
from maskwright.inference.engine import TorchEngine
from maskwright.inference.opening import milliseconds
from maskwright.inference.predictor import Predictor
from maskwright.models.cost import count, planned_network
from maskwright.models.device import resolve_device
from maskwright.planning.task_rules import rules_of
from maskwright.postprocess import POSTPROCESSORS, check_channels
from maskwright.training.measure import step_cost
from maskwright.workflows.diagnose_parts.figures import change

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

    from maskwright.core.answers import Cell
    from maskwright.core.records import Record
    from maskwright.models.bundle import Card
    from maskwright.workflows.diagnose_parts.study import Study

SHOWN = 10
FEWEST, MOST = 4, 40
"""Images that settings of quality are compared on."""
OVERLAPS = (0.0, 0.25, 0.5)
STRIDES = (4, 8, 16)
STEPS_RUN = 8
"""Training steps that take as long as measuring one does: building, three steps, and the random crops."""
TRAINING_SHARE = 0.3
"""Share of the time for measuring a training step."""


def cost(study: Study, deadline: float) -> Iterator[Answer]:
    """Measure time, memory and size, and what single settings change in score and time."""
    yield _cost(study, time.monotonic() + TRAINING_SHARE * (deadline - time.monotonic()))
    yield _options(study, deadline)


def _cost(study: Study, deadline: float) -> Answer:
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
        verdict = f"A megapixel takes {format_seconds(megapixel / 1000)} here; the model file has {size:.1f} MB."
        steps = _training(study, deadline)
        return Answer("cost", question, verdict, figures=(*figures, *steps), method=_machine(study, steps))
    tile = milliseconds([engine], card)[0]
    trained = planned_network(card.model, card.channels, card.data.channels)
    counted = count(trained, card.data.channels)
    grid, working = _parts(engine, card, trained)
    figures = [
        Figure(f"time of the network for one tile of {height} x {width}", tile, unit="ms"),
        Figure("working memory of the network for it", working, unit="MB"),
        *figures,
        *(steps := _training(study, deadline)),
    ]
    verdict = (
        f"One tile of {height} x {width} pixels takes {tile:.0f} ms and {working:.0f} MB of working memory here, a "
        f"megapixel {format_seconds(megapixel / 1000)} with reading and scoring; "
        f"{compact(counted.parameters)} parameters, {size:.1f} MB, {counted.multiply_adds / 1e9:.3g} billion "
        "multiply-adds for 512 x 512 pixels."
    )
    cures = (
        Cure("Other engines and int8 may be faster here; the export says how much, and compares the masks.", "export",
             (str(study.run),), {"to": "openvino"}),
        Cure("A narrower model, taught by this one.", "compress", (str(study.run),), {"target": "0.5x"}),
    )  # fmt: skip
    return Answer("cost", question, verdict, figures=tuple(figures), grids=(grid,), cures=cures,
                  method=_machine(study, steps))  # fmt: skip


def _parts(engine: TorchEngine, card: Card, trained: nn.Module) -> tuple[Grid, float]:
    """Return the table of the parts of the network, and the working memory of all of it, in MB."""
    size = (*card.predict.tile_size, card.data.channels)
    image = np.random.default_rng(0).integers(0, 256, size, np.uint8)
    parts = sorted(part_times(engine, image, trained), key=lambda part: -part.milliseconds)
    memory = part_memory(engine, image, [part.name for part in parts])
    total = sum(part.milliseconds for part in parts)
    rows = tuple(
        (
            part.name,
            Figure("", part.milliseconds, unit="ms"),
            percent(part.milliseconds / total),
            Figure("", memory[part.name].most / 1e6, unit="MB"),
            Figure("", memory[part.name].weights / 1e6, unit="MB"),
            compact(part.parameters),
        )
        for part in parts[:SHOWN]
    )
    header = ("part", "time", "of all", "working memory", "weights", "parameters")
    return Grid("Parts of the network, the slowest first", header, rows), memory[WHOLE].most / 1e6


def _training(study: Study, deadline: float) -> tuple[Figure, ...]:
    """Run a few training steps by the plan of the run, if there is one and time for them."""
    plan = study.plan
    if plan is None or not _has_steps(study):
        return ()
    last = study.history[-1]
    each = (last["seconds"] or 0.0) / max(1.0, last["step"] or 0.0)
    if time.monotonic() + STEPS_RUN * each > deadline:
        return ()
    measured = step_cost(plan, study.classes, resolve_device(study.request.device))
    batch, (height, width) = plan.sampling.batch, plan.sampling.crop_size
    what = f"{plural(batch, 'crop')} of {height} x {width}"
    return (
        Figure(f"time of a training step ({what})", 1000 * measured.seconds(plan), unit="ms"),
        Figure("memory of its activations", measured.activation_bytes(plan) / 1e6, unit="MB"),
    )


def _has_steps(study: Study) -> bool:
    """Whether the model was trained step by step, and it is known how long a step took."""
    return study.plan is not None and bool(study.history) and rules_of(study.plan).steps


def _machine(study: Study, steps: tuple[Figure, ...]) -> str:
    unknown = "" if steps or not _has_steps(study) else " There was no time to measure a training step."
    return (
        f"Measured on this machine, with {plural(cores(), 'core')}; other programs running now slow it down. The "
        "working memory of a part is the most that all tensors alive while it runs take together, without weights and "
        "without what a library takes within one operation. It grows with the area of the tile (`predict.tile`)."
        + unknown
    )


def _options(study: Study, deadline: float) -> Answer:
    """Change one setting of the prediction at a time, and compare score and time."""
    question = "What do its settings of quality buy: flip, overlap, stride, postprocessing?"
    variants = list(_variants(study))
    records = _sample(study, deadline, len(variants) + 1)
    started = time.monotonic()
    base = study.scored(records=records, predictor=study.predictor.in_tiles())  # as all variants: one thing changes
    usual = (time.monotonic() - started) / max(1, len(records))
    rows: list[tuple[Cell, ...]] = []
    best = ("", 0.0, Figure("", None))
    for name, predictor in variants:
        if time.monotonic() > deadline and rows:
            rows.append((name, "not measured", "", ""))
            continue
        started = time.monotonic()
        found = study.scored(records=records, predictor=predictor.in_tiles())
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
    settings: list[tuple[str, dict[str, Any]]] = [(f"flip {'off' if plan.flip else 'on'}", {"flip": not plan.flip})]
    settings += [("no further sizes", {"scales": ()})] if plan.scales else []
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
    settings = {
        "flip on": "predict.flip=true",
        "flip off": "predict.flip=false",
        "no further sizes": "predict.scales=[]",
    }
    setting = settings.get(name) or (f"predict.overlap={float(name[8:-1]) / 100:g}" if name else "")
    if not setting:
        return ()
    options = {"from_run": str(study.run), "settings": (setting,)}
    return (
        Cure(
            f"Trains on from this model, with {name} in the prediction.", "train", (str(study.dataset.root),), options
        ),
    )
