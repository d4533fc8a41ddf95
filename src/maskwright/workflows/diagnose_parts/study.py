"""What the sections of a diagnosis look at: a model, its data, and what it predicts on held-out images."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from maskwright.core.plan_file import read_plan
from maskwright.core.seeds import generator
from maskwright.diagnosis.image_facts import image_facts
from maskwright.diagnosis.pixel_labels import pixel_labels
from maskwright.diagnosis.risk import image_risk, object_risks, objects_of, promise_of
from maskwright.workflows.evaluate_parts import scoring
from maskwright.workflows.runs import run_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from maskwright.core.classes import Classes
    from maskwright.core.errors import MaskwrightError
    from maskwright.core.events import OnProgress
    from maskwright.core.plan import Plan
    from maskwright.core.records import Dataset, Record
    from maskwright.core.targets import Target
    from maskwright.inference.predictor import Predictor
    from maskwright.metrics.scores import Scores
    from maskwright.tasks.block import Block
    from maskwright.workflows.diagnose_request import DiagnoseRequest
    from maskwright.workflows.evaluate_parts.evaluation import Evaluation

    Alter = Callable[[NDArray[Any], Target], tuple[NDArray[Any], Target]]

MOST_PIXELS = 120_000_000
"""Pixels of all looks together: they are kept as label maps, in about 5 bytes a pixel."""


@dataclass(frozen=True, eq=False)
class Look:
    """What a model says of one held-out image.

    Attributes:
        record: of the image.
        labels: predicted class indices, uint8 (H, W), `IGNORE` where nothing is predicted; None for a task without
            classes.
        confidence: float16 (H, W), probability of the predicted class; None where the network gives none.
        truth: uint8 (H, W), class indices or `IGNORE`.
        facts: of the image, see `diagnosis.image_facts`.
        risk: of the image, see `diagnosis.risk`; None where the network says nothing.
        objects: risk and overlap with the truth (n, 2) of each object found; empty for a task without objects.
    """

    record: Record
    labels: NDArray[np.uint8] | None
    confidence: NDArray[np.float16] | None
    truth: NDArray[np.uint8]
    facts: dict[str, float]
    risk: float | None
    objects: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Seen:
    """An image that was predicted: as the model saw it, with its target and the blocks of its prediction."""

    record: Record
    image: NDArray[Any]
    target: Target
    blocks: list[Block]


class Study:
    """A trained model under diagnosis.

    What several sections need is computed once, when first asked for.

    Args:
        evaluation: the model, and the records to look at.
        request: what was asked for.
        deadline: of the whole diagnosis, in seconds of `time.monotonic()`.
        on_progress: called with (what is done, images done, images in all).
    """

    def __init__(
        self,
        evaluation: Evaluation,
        request: DiagnoseRequest,
        deadline: float,
        on_progress: Callable[[str], OnProgress] | None = None,
    ) -> None:
        self._evaluation = evaluation
        self.request = request
        self.deadline = deadline
        self._on_progress = on_progress
        self._looked: tuple[list[Look], Scores] | None = None
        self._seconds = 0.0

    @property
    def run(self) -> Path:
        """The run folder, or the model file."""
        return self._evaluation.run

    @property
    def home(self) -> Path:
        """The folder of the model."""
        return self.run if self.run.is_dir() else self.run.parent

    @property
    def predictor(self) -> Predictor:
        """The trained model."""
        return self._evaluation.predictor

    @property
    def dataset(self) -> Dataset:
        """All of the data, each record with the split that it had in the training."""
        return self._evaluation.dataset

    @property
    def classes(self) -> Classes:
        """Names and colours of the classes."""
        return self.predictor.classes

    @property
    def notes(self) -> list[str]:
        """Remarks on the images; sections may add to them."""
        return self._evaluation.notes

    @cached_property
    def plan(self) -> Plan | None:
        """The plan of the training; None for a model without a run."""
        path = self.home / run_folder.PLAN
        return read_plan(path) if path.exists() else None

    @cached_property
    def history(self) -> list[dict[str, float | None]]:
        """The rows of the training's `history.csv`; none for a model without a run."""
        path = self.home / run_folder.HISTORY
        return run_folder.read_history(path) if path.exists() else []

    def records(self, *splits: str) -> tuple[Record, ...]:
        """Return the labelled records of parts of the data: `train`, `val`, `test`; of the request's without any."""
        if not splits:
            return self._evaluation.records
        return tuple(record for record in self.dataset.records if record.annotation and record.split in splits)

    @property
    def looks(self) -> list[Look]:
        """What the model says of the held-out images, an even sample if there are too many for time or memory."""
        return self._look()[0]

    @property
    def scores(self) -> Scores:
        """The scores of the same images."""
        return self._look()[1]

    @property
    def seconds_each(self) -> float:
        """Seconds to predict and score one image, the mean of the looks."""
        return self._seconds / max(1, len(self.looks))

    def drawn(self, number: int, purpose: str) -> list[Record]:
        """Draw images of `looks` at random, in their order; another purpose draws others."""
        looks = self.looks
        chosen = generator(self.request.seed, purpose).permutation(len(looks))[:number]
        return [looks[place].record for place in sorted(chosen)]

    def scored(
        self,
        alter: Alter | None = None,
        records: Sequence[Record] | None = None,
        predictor: Predictor | None = None,
        deadline: float | None = None,
        seen: Callable[[Seen], bool] = lambda _: True,
    ) -> Scores:
        """Score the model as it is, or on altered images.

        Args:
            alter: takes an image as it was read and its target, and returns both altered.
            records: None for the images of `looks`.
            predictor: None for the trained model.
            deadline: no image is started later, but for the first four; None for no limit.
            seen: gets each image once it is predicted, and says whether to go on.

        Raises:
            MaskwrightError: no image can be read.
        """
        records = [look.record for look in self.looks] if records is None else records
        predictor = predictor or self.predictor
        judge = predictor.task.judge(self.dataset.classes, predictor.task.uncalibrated(predictor.card.decoding))
        for done, (record, image, target) in enumerate(self.pairs(records, predictor)):
            if done >= scoring.LEAST_IMAGES and deadline is not None and time.monotonic() > deadline:
                break
            changed, truth = (image, target) if alter is None else alter(image, target)
            blocks = list(predictor.blocks(changed))
            judge.update(record.id, blocks, truth, record.group)
            if not seen(Seen(record, changed, truth, blocks)):
                break
        return judge.compute()

    def pairs(
        self, records: Sequence[Record], predictor: Predictor | None = None
    ) -> Iterator[tuple[Record, NDArray[Any], Target]]:
        """Read images with their targets; those that cannot be read are noted and left out."""

        def missed(_record: Record, error: MaskwrightError) -> None:
            if scoring.left_out(error) not in self.notes:
                self.notes.append(scoring.left_out(error))

        return scoring.pairs(predictor or self.predictor, self.dataset, records, missed)

    def progress(self, what: str) -> OnProgress:
        """Return the receiver of (images done, images in all) for one piece of work."""
        return self._on_progress(what) if self._on_progress is not None else _ignore

    def _look(self) -> tuple[list[Look], Scores]:
        if self._looked is None:
            self._looked = self._look_now()
        return self._looked

    def _look_now(self) -> tuple[list[Look], Scores]:
        looks: list[Look] = []
        records, report = self.records(), self.progress("predict")
        started = time.monotonic()
        pixels = 0

        def looked(seen: Seen) -> bool:
            nonlocal pixels
            looks.append(self._looked_at(seen))
            pixels += seen.target.labels.size
            report(len(looks), len(records))
            return pixels <= MOST_PIXELS or len(looks) < scoring.LEAST_IMAGES

        scores = self.scored(records=records, deadline=started + (self.deadline - started) / 3, seen=looked)
        self._seconds = time.monotonic() - started
        if len(looks) < len(records):
            self.notes.append(f"{len(looks)} of {len(records)} images were looked at, drawn at random, to save time")
        return looks, replace(scores, scope=None)

    def _looked_at(self, seen: Seen) -> Look:
        """Gather what is kept of an image."""
        predictor, target = self.predictor, seen.target
        decoding = predictor.card.decoding
        result = predictor.task.decode(seen.blocks, target.size, self.classes, decoding, confidence=True)
        labels, confidence = pixel_labels(result, target.size, self.classes)
        found, objects = objects_of(result), np.zeros((0, 2))
        if found is not None and target.instances is not None:
            objects = object_risks(found, target.instances)
        risk = image_risk(promise_of(predictor, seen.blocks), result)
        return Look(seen.record, labels, confidence, target.labels, image_facts(seen.image), risk, objects)


def _ignore(_done: int, _total: int) -> None:
    """Report nothing."""
