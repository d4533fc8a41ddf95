"""The interface of tasks: everything that the rest of the package needs from one. Knows no task.

A task says which channels a network emits, how an annotation becomes a target and a loss, how maps become a result,
how results are scored, drawn and written. Everything else (networks, tiles, the loop, budgets, reports) is shared.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

import numpy as np

from maskwright.core.targets import Target

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from maskwright.core.channels import Channels
    from maskwright.core.classes import Classes
    from maskwright.core.plan import Plan
    from maskwright.core.read_options import Meaning
    from maskwright.core.records import Dataset, Record
    from maskwright.metrics.scores import Metric, Scores
    from maskwright.tasks.block import Block
    from maskwright.tasks.writer import Writer

Decoding = dict[str, float | list[float]]
"""Numbers that decoding needs in addition to the network's maps. The task names them; the bundle's card holds them."""


class Seen(NamedTuple):
    """One image with its truth, as `Task.fit` takes it: `blocks` can be iterated once."""

    id: str
    blocks: Iterable[Block]
    target: Target


@dataclass(frozen=True)
class Adjustments:
    """Result of a fit on validation images after the last step.

    Attributes:
        decoding: for the card.
        notes: sentences that tell the user what was fitted.
    """

    decoding: Decoding = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class Judge(Protocol):
    """Scores one image after another and keeps only counts."""

    def update(self, id: str, blocks: Iterable[Block], target: Target, group: str | None = None) -> None:  # noqa: A002
        """Score one image, given its maps (`Task.uncalibrated`), its truth and its group."""

    def score(self) -> float | None:
        """Return the headline metric of all images so far; None where it is undefined."""

    def compute(self) -> Scores:
        """Return all scores with their intervals."""


class Panel(NamedTuple):
    """One picture of an example: its title, whether it is a `photo` or has `flat` colours, and RGB uint8 (H, W, 3)."""

    title: str
    kind: Literal["photo", "flat"]
    pixels: NDArray[np.uint8]


class Painted(NamedTuple):
    """An example drawn for the report: its panels, and the largest error in one sentence."""

    panels: tuple[Panel, ...]
    note: str


class Legend(NamedTuple):
    """What the colours of panels mean: (words, RGB) of the classes painted and of the kinds of errors."""

    classes: tuple[tuple[str, tuple[int, int, int]], ...]
    errors: tuple[tuple[str, tuple[int, int, int]], ...]


class Task(Protocol):
    """What a mask means. `tasks.semantic` is the first; CONTRIBUTING.md shows how to add another.

    A task derives from this class, and inherits the defaults of `adjust`, `check`, `fit` and `uncalibrated` if it does
    not need them.

    Attributes:
        annotation: how mask files are read: `labels`, classes by value or colour; `values`, measured numbers.
        headline: the metric by which models are compared.
        writers: kind of file -> how `predict --save` writes it; the first is the default.
        planes: number of planes of `Target.values` in a lesson.
        vectors: whether a lesson has `Target.vectors`.
        objects: it tells objects apart, as the section `objects` of the plan says.
        stuff: classes without objects are learnt beside the objects.
        shares: objects in a block need their `shares`, if the network gives any.
        fit_seconds: that `fit` usually takes at most, without the predictions that it sees.
        rough: for a task whose judging takes long: how the scores that a quick judge `compute`s differ from the exact
            ones, as a sentence for the user. A training without time for exact scores then gives these. Empty for a
            task whose quick judge has only the headline metric, or is exact.
        planned_loss: the section `loss` of the plan decides what `loss` returns; if not, settings there are refused.
    """

    fit_seconds: float = 10.0
    rough: str = ""
    planned_loss: bool = False
    objects: bool = False
    stuff: bool = False
    shares: bool = False
    planes: int = 0
    vectors: bool = False
    annotation: Meaning
    headline: Metric
    writers: Mapping[str, Writer]

    def formulated(self, formulation: str) -> Task:
        """Return the task as the plan's `objects.formulation` has it; by default there is only one way."""
        return self

    def prepared(self, dataset: Dataset) -> Dataset:
        """Return the data as the task sees them; by default as they were read."""
        return dataset

    def channels(self, classes: Classes) -> tuple[Channels, ...]:
        """Return the channel groups that a network for these classes emits."""

    def check(self, dataset: Dataset) -> None:
        """Refuse a data set whose annotations say nothing that this task could learn.

        Raises:
            MaskwrightError: it is one; the message says what to do.
        """
        self.channels(dataset.classes)

    def target(self, dataset: Dataset, record: Record, size: tuple[int, int]) -> Target:
        """Read the annotation of a record whose image has `size` (height, width).

        Raises:
            MaskwrightError: it cannot be read or does not fit this task; the message says what to do.
        """

    def lesson(self, dataset: Dataset, record: Record, size: tuple[int, int]) -> Target:
        """Read the annotation of a record for training, with all that is measured on the whole image before crops.

        By default, this is `target`.

        Raises:
            MaskwrightError: as `target`.
        """
        return self.target(dataset, record, size)

    def random_target(self, rng: np.random.Generator, size: tuple[int, int], classes: Classes) -> Target:
        """Return a random target of a crop of `size`, on which a step takes as long as on a real one."""
        labels = rng.integers(0, len(classes), size).astype(np.uint8)
        values, vectors = (
            rng.normal(size=(planes, *size)).astype(np.float32) if planes else None
            for planes in (self.planes, 2 * self.vectors)
        )
        return Target(labels, values, vectors=vectors)

    def encode(self, target: Target, classes: Classes) -> dict[str, NDArray[Any]]:
        """Turn the target of a crop, after the warp, into what the loss compares: group -> (H, W) or (C, H, W)."""

    def pasted(self, target: Target, donor: Target, index: int) -> tuple[Target, NDArray[np.bool_]] | None:
        """Lay the objects of a class in one crop's target over another of the same size.

        Returns:
            The new target, and the pixels (H, W) that come from the donor; None for a task that pastes no objects.
        """
        return None

    def loss(self, plan: Plan, classes: Classes) -> nn.Module:
        """Return a module: (group -> raw maps (N, C, h, w), group -> encoded target (N, [C,] h, w)) to a scalar."""

    def adjust(self, maps: Tensor, decoding: Decoding) -> Tensor:
        """Apply the fitted numbers to maps (C, h, w), after tiles and flips were averaged; by default, do nothing."""
        return maps

    def ranked(self, raw: Tensor, decoding: Decoding) -> Tensor | None:
        """Return values (K, h, w) from raw maps whose largest is that of the adjusted maps; by default, None for none.

        They spare a label map the activation and `adjust`. With a temperature in the decoding they are the adjusted
        maps. The raw maps may be overwritten.
        """
        return None

    def fit(
        self,
        seen: Iterator[Seen],
        images: int,
        classes: Classes,
        deadline: float | None,
    ) -> Adjustments:
        """Fit decoding on validation images; by default there is nothing to fit.

        Args:
            seen: predictions without any decoding yet.
            images: largest number of images that `seen` yields.
            classes: of the data set.
            deadline: in seconds of `time.monotonic()`, for the fit alone; None for no limit.
        """
        return Adjustments()

    def decode(
        self,
        blocks: Iterable[Block],
        size: tuple[int, int],
        classes: Classes,
        decoding: Decoding,
        *,
        confidence: bool = False,
    ) -> Any:
        """Turn the maps of one image of `size` (height, width), already adjusted, into a result."""

    def uncalibrated(self, decoding: Decoding) -> Decoding:
        """Return the part of the decoding that `judge` expects: it compares scores with and without the rest."""
        return decoding

    def judge(self, classes: Classes, decoding: Decoding, *, quick: bool = False) -> Judge:
        """Return a judge.

        Args:
            classes: of the data set.
            decoding: as `uncalibrated` returns it.
            quick: the judge is for validations during a training, which compare the `score` of one network at several
                steps: it may leave out all other metrics, and estimate this one. Its `compute` is called only if the
                task is `rough`.
        """

    def judging_seconds(self, blocks: Iterable[Block], target: Target, classes: Classes) -> float:
        """Estimate the seconds in which a judge scores one image, `blocks` included; by default, score it."""
        started = time.monotonic()
        judge = self.judge(classes, {})
        judge.update("", blocks, target)
        judge.compute()
        return time.monotonic() - started

    def truth(self, target: Target) -> Any:
        """Return the truth as a result, so that it can be drawn."""

    def overlay(self, image: NDArray[Any], result: Any, classes: Classes) -> NDArray[np.uint8]:
        """Draw a result over its image (H, W, C): RGB uint8 (H, W, 3)."""

    def paint(self, image: NDArray[np.uint8], target: Target, result: Any, classes: Classes) -> Painted:
        """Draw an example for the report: image RGB (H, W, 3), its truth, its prediction."""

    def legend(self, targets: Iterable[Target], results: Iterable[Any], classes: Classes) -> Legend:
        """Say what the colours of `paint` mean for these examples."""

    def describe(self, result: Any, classes: Classes) -> dict[str, int | float]:
        """Summarise a result as plain numbers by name, for JSON."""
