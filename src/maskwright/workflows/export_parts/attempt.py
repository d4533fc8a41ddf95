"""Writes an export and compares it with the trained model on held-out images. Decides nothing and prints nothing."""

from __future__ import annotations

import json
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar, cast

import torch

from maskwright.core.channels import emits_objects, total
from maskwright.core.errors import MaskwrightError
from maskwright.core.events import Stage
from maskwright.core.paths import model_file
from maskwright.core.plan_section import image_size
from maskwright.core.text import plural
from maskwright.exporting.formats import Exporter, Precision
from maskwright.exporting.graph import Graph
from maskwright.exporting.layers import worst
from maskwright.exporting.outcomes import outcome
from maskwright.exporting.parity import Parity, Side, agreement
from maskwright.exporting.sensitivity import measured, nodes_between
from maskwright.inference.engine import bring_to_stride
from maskwright.inference.opening import milliseconds
from maskwright.inference.origin import parts
from maskwright.inference.predictor import Predictor
from maskwright.metrics.paired import difference
from maskwright.models import bundle
from maskwright.models.objects.base import Found
from maskwright.workflows.evaluate_parts import scoring

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from maskwright.core.events import OnEvent
    from maskwright.core.records import Record
    from maskwright.exporting.parity import Agreement
    from maskwright.exporting.sensitivity import Part
    from maskwright.metrics.scores import Scores
    from maskwright.models.bundle import Card
    from maskwright.models.objects.base import Segments
    from maskwright.models.segmenter import Segmenter
    from maskwright.workflows.evaluate_parts.evaluation import Evaluation

T = TypeVar("T")
IMAGES = 40
"""Held-out images that an export is scored on."""
MAPS = 4
"""Those of them whose maps are compared."""
SENSITIVE_TILES = 2
"""Real tiles on which the parts of the network are rounded one by one."""


class Attempts:
    """The attempts at one export.

    Args:
        evaluation: of the trained model, with the held-out records.
        target: name in `core.paths.EXPORT_FILES`.
        folder: that the export is written into.
        on_event: called when a stage begins.
    """

    def __init__(self, evaluation: Evaluation, target: str, folder: Path, on_event: OnEvent | None = None) -> None:
        self.evaluation, self.target, self.folder = evaluation, target, folder
        self.trained = evaluation.predictor.in_tiles()  # as the export, so that only the network differs
        self.records = evenly(evaluation.records, IMAGES)
        self.exporter = Exporter(trained_network(model_file(evaluation.run), self.trained.card), self.trained.card)
        self._trained: Scores | None = None
        self._on_event = on_event

    @cached_property
    def tile(self) -> NDArray[np.uint8]:
        """A real held-out tile, uint8 (1, h, w, channels)."""
        return real_tiles(self.trained, self.records, 1)[0]

    @property
    def coordinates(self) -> list[str]:
        """Nodes that int8 never computes, once there is a graph: of objects, boxes and scores between the layers."""
        if not emits_objects(self.trained.card.channels):
            return []
        return nodes_between(self.exporter.segmenter, self.exporter.modules)

    def tell(self, name: str, detail: str) -> None:
        """Say that a stage begins."""
        if self._on_event is not None:
            self._on_event(Stage(name, detail))

    @property
    def percent(self) -> bool:
        """Whether the score is a share."""
        assert self._trained is not None
        return self._trained.headline_metric.unit == "share"

    def run(self, precision: Precision) -> tuple[Parity, Path]:
        """Write the export; return how it compares with the trained model, and the file to open."""
        file = self._write(precision)
        return self.compared(file), file

    def compared(self, file: Path, *, fast: bool = False) -> Parity:
        """Return how an export compares with the trained model; `fast` for bfloat16 where it is not int8."""
        exported = Predictor.load(file, "cpu", fast=fast)
        self._check_card(exported.card)
        what = "objects" if emits_objects(self.trained.card.channels) else "maps"
        self.tell("compare", f"the {what} of {plural(self._looked, 'image')}, and the score of {len(self.records)}")
        if self._trained is None:
            self._trained = self._score(self.trained)
        found = self._agreement(exported)
        before, after = self._trained, self._score(exported)
        metric, card = before.headline_metric, self.trained.card
        change = difference(before, after, metric.key)
        interval = None
        if change.low is not None and change.high is not None:
            first, last = 100 * change.low, 100 * change.high
            interval = (-last, -first) if metric.higher_is_better else (first, last)
        times = milliseconds([self.trained.engine, exported.engine], card, self.tile)
        trained, side = (
            Side(cast("float", scores.score.value), time, _bytes(each))
            for scores, time, each in zip((before, after), times, (model_file(self.evaluation.run), file), strict=True)
        )
        return Parity(metric.label, metric.higher_is_better, card.predict.tile_size, found, trained, side, interval)

    def parts(self, tiles: Sequence[NDArray[np.uint8]]) -> list[Part]:
        """Return the parts of the network with what int8 does there, on a few of the tiles."""
        self.tell("layers", "those that int8 hurts most")
        graph = Graph(self.exporter.segmenter, self.trained.card)
        groups = self.trained.card.channels
        return measured(graph.segmenter, [outcome(graph, tile, groups) for tile in evenly(tiles, SENSITIVE_TILES)])

    def worst(self, file: Path) -> list[tuple[str, float]]:
        """Return the modules that differ most in an export, each with the error that it adds."""
        self.tell("layers", "those that differ most from the model")
        graph = Graph(self.exporter.segmenter, self.trained.card)
        return worst(graph, file, self.exporter.modules, self.tile)

    @property
    def _looked(self) -> int:
        return min(MAPS, len(self.records))

    def _write(self, precision: Precision) -> Path:
        tiles, kept = precision.tiles, len(precision.kept)
        how = "" if tiles is None else f" in int8, with the ranges of {plural(len(tiles), 'tile')}"
        how += f" and {plural(kept, 'node')} in floating point" if kept else ""
        self.tell("write", f"the network for {self.target}{how}")
        return self.exporter.write(self.target, self.folder, precision)

    def _check_card(self, exported: Card) -> None:
        """Refuse an export that describes itself otherwise than the model does, in the order of its classes say."""
        ours, theirs = (card.model_dump(mode="json") for card in (self.trained.card, exported))
        differ = [name for name, value in ours.items() if json.dumps(theirs[name]) != json.dumps(value)]  # NaN is NaN
        if differ:
            raise MaskwrightError(
                f"the card of the export differs from that of the model in {', '.join(differ)}. Nothing was written: "
                "report it, with the plan"
            )

    def _agreement(self, exported: Predictor) -> Agreement:
        images = (self.trained.read(record.image) for record in evenly(self.records, MAPS))
        try:
            return agreement(self.trained, exported, images)
        except MaskwrightError:
            raise
        except Exception as error:  # those of the runtimes share no base
            raise MaskwrightError(
                f"the export fails where the model does not ({error}). Nothing was written: export to another runtime, "
                "and report it, with the plan"
            ) from error

    def _score(self, predictor: Predictor) -> Scores:
        scores = scoring.score(predictor, self.evaluation.dataset, self.records)
        if scores.score.value is None:
            raise MaskwrightError(
                f"the {len(self.records)} held-out images have nothing that {scores.headline_metric.label} can be "
                "computed from: label more, or give other images with `data`",
                "data",
            )
        return scores


def _bytes(file: Path) -> int:
    """Return the size of a model's files."""
    return sum(part.stat().st_size for part in parts(file))


def evenly(records: Sequence[T], count: int) -> tuple[T, ...]:
    """Return at most `count` of the records, or of other things, evenly spread over all."""
    used = min(count, len(records))
    return tuple(records[place * len(records) // used] for place in range(used))


def real_tiles(predictor: Predictor, records: Sequence[Record], count: int) -> list[NDArray[np.uint8]]:
    """Return prepared tiles, each uint8 (1, h, w, channels), as prediction gives them to the network.

    Args:
        predictor: cuts the tiles.
        records: of images that can be read, used evenly.
        count: of tiles, at most.
    """
    recorder = _Recorder(predictor.engine.batch, total(predictor.card.channels))
    recording = Predictor(recorder, predictor.card)
    share = -(-count // min(len(records), count))
    for record in evenly(records, count):
        before = len(recorder.tiles)
        for _ in recording.blocks(predictor.read(record.image)):
            if len(recorder.tiles) >= min(before + share, count):
                break
    return recorder.tiles[:count]


class _Recorder:
    """An engine that keeps the tiles that it gets, and gives empty maps or no objects: no network runs.

    Args:
        batch: tiles that one call should get.
        channels: of the maps.
    """

    device = torch.device("cpu")

    def __init__(self, batch: int, channels: int) -> None:
        self.batch, self._channels = batch, channels
        self.tiles: list[NDArray[np.uint8]] = []

    def forward(self, tiles: NDArray[np.uint8]) -> torch.Tensor:
        """Keep the tiles."""
        self.tiles += [tile[None].copy() for tile in tiles]
        return torch.zeros(len(tiles), self._channels, *tiles.shape[1:3])

    def objects(self, tiles: NDArray[np.uint8]) -> list[Found | Segments]:
        """Do the same for a network that emits objects."""
        self.forward(tiles)
        nothing = torch.zeros(0)
        return [Found(torch.zeros(0, 4), nothing, nothing, torch.zeros(0, 1, 1), aligned=True) for _ in tiles]


def trained_network(file: Path, card: Card) -> Segmenter:
    """Load the trained network as it was saved, at the output stride and with the window of the card."""
    segmenter, _ = bundle.load(file)
    if card.predict.output_stride is not None:
        bring_to_stride(segmenter, card)
    if card.predict.window is not None:
        segmenter.set_window(image_size(card.predict.window, "predict.window"))
    return segmenter.eval()
