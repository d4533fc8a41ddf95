"""The bundle: one safetensors file with everything that prediction needs. Reading it runs no code and needs no network.

Weights are stored as float32, or float16 in some exports (integers unchanged), the card as JSON in the file's metadata.
"""

from __future__ import annotations

import json
import math
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import safetensors.torch
import torch
from pydantic import Field, ValidationError, model_validator

from maskwright.core.channels import Channels, class_channels
from maskwright.core.classes import Classes
from maskwright.core.errors import MaskwrightError, first_problem
from maskwright.core.files import write_bytes
from maskwright.core.plan import DataPlan, Formulation, ModelPlan, PostprocessPlan, PredictPlan, Section
from maskwright.models.build import resolved, restore
from maskwright.models.weights import CARD_KEY, read_metadata, read_tensors

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from maskwright.models.segmenter import Segmenter

FORMAT = 2
"""1 had class offsets in the weights and no channel groups; it is not read any more."""


class CardClasses(Section):
    """The labels, by class index.

    Attributes:
        names: one per class.
        colors: one RGB triple (0..255) per class.
        things: indices of those whose objects are told apart; None for all but the background.
        ids: their category ids in the COCO files of the training data, None for a background without one; None where
            there are no such files.
    """

    names: list[str]
    colors: list[tuple[int, int, int]]
    things: list[int] | None = None
    ids: list[int | None] | None = None

    @model_validator(mode="after")
    def _sound(self) -> CardClasses:
        try:
            self.table()
        except MaskwrightError as error:
            raise ValueError(str(error)) from None
        return self

    @classmethod
    def of(cls, classes: Classes) -> CardClasses:
        """Adopt a data set's labels."""
        things = None if classes.things is None else sorted(classes.things)
        ids = None if classes.ids is None else list(classes.ids)
        return cls(names=list(classes.names), colors=list(classes.colors), things=things, ids=ids)

    def table(self) -> Classes:
        """Return the labels as `core.classes.Classes`."""
        things = None if self.things is None else frozenset(self.things)
        return Classes(tuple(self.names), tuple(self.colors), things, None if self.ids is None else tuple(self.ids))


class Card(Section):
    """The description of the model in a bundle.

    Attributes:
        format: version of this layout; a reader refuses a newer one.
        maskwright: version that wrote the bundle.
        task: what the model was trained for, a name of `tasks.TASKS`.
        formulation: how its maps tell objects apart, for tasks of objects.
        channels: what the channels of the network's output mean, in order; left out, one group of the classes.
        model: architecture, backbone and options, written out in full when saved.
        classes: names and colours.
        data: how files become the network's input.
        dtypes: pixel types of the training's images, `uint8` and the like; empty if unknown.
        nodata: value in image files that stands for "nothing was measured here", besides those that files declare.
        upright: turn images by their EXIF orientation.
        predict: how whole images are predicted.
        postprocess: settings of what may follow the network, used when it is asked for.
        decoding: numbers that decoding takes beside the network's output, by the task's names: the `temperature` that
            logits are divided by, the class `offsets` that are added to them.
        summary: scores and circumstances of the training, for people; plain JSON.
    """

    format: int = FORMAT
    maskwright: str = Field(default_factory=lambda: version("maskwright"))
    task: str = "semantic"
    formulation: Formulation = "depth"
    channels: tuple[Channels, ...] = ()
    model: ModelPlan
    classes: CardClasses
    data: DataPlan
    dtypes: list[str] = Field(default_factory=list)
    nodata: float | None = None
    upright: bool = True
    predict: PredictPlan = PredictPlan()
    postprocess: PostprocessPlan = PostprocessPlan()
    decoding: dict[str, float | list[float]] = Field(default_factory=dict)
    summary: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _decodable(self) -> Card:
        temperature, offsets = self.decoding.get("temperature", 1.0), self.decoding.get("offsets")
        if not isinstance(temperature, float) or not 0 < temperature < math.inf:
            raise ValueError(f"decoding.temperature is {temperature}, and it must be a finite number above 0")
        count = len(self.classes.names)
        if offsets is not None and not (isinstance(offsets, list) and len(offsets) == count):
            raise ValueError(f"decoding.offsets is {offsets}, and it must be a list of one number per class ({count})")
        return self

    def __init__(self, **values: Any) -> None:
        super().__init__(**values)
        if not self.channels:
            self.channels = class_channels(len(self.classes.names))


def save(path: Path, segmenter: Segmenter, card: Card, dtype: torch.dtype = torch.float32) -> None:
    """Write a bundle, atomically.

    Args:
        path: of the file; its folder is created.
        segmenter: any mode, device and memory layout; it is not changed.
        card: its `model` must be the plan that `segmenter` was created from.
        dtype: of floating-point weights in the file.

    Raises:
        MaskwrightError: the file cannot be written.
    """
    assert segmenter.groups == card.channels, "the card and the segmenter differ in their channels"
    assert segmenter.in_channels == card.data.channels, "the card and the segmenter differ in their input channels"
    whole = card.model_copy(update={"model": resolved(card.model)})
    tensors = {name: _plain(tensor, dtype) for name, tensor in segmenter.state_dict().items()}
    write_bytes(path, safetensors.torch.save(tensors, {CARD_KEY: json.dumps(whole.model_dump())}))


def load(path: Path) -> tuple[Segmenter, Card]:
    """Read a bundle: the segmenter, on the CPU and in evaluation mode, and its card.

    torch's random state is unchanged afterwards.

    Raises:
        MaskwrightError: missing, truncated, not safetensors, not a bundle, of a newer format, or damaged.
    """
    card = read_card(path)
    tensors = read_tensors(path)
    return restore(card.model, card.channels, card.data.channels, lambda _: tensors, str(path)), card


def read_card(path: Path) -> Card:
    """Read the card of a bundle, without building the model or reading its weights.

    Raises:
        MaskwrightError: missing, truncated, not safetensors, not a bundle, of a newer format, or damaged.
    """
    return parse_card(read_metadata(path), str(path))


def _plain(tensor: Tensor, floats: torch.dtype) -> Tensor:
    """Copy to the CPU, contiguous, floats as the type given; a copy, because two names may share memory."""
    dtype = floats if tensor.is_floating_point() else tensor.dtype
    return tensor.detach().to("cpu", dtype, copy=True).contiguous()


def parse_card(metadata: dict[str, str], source: str) -> Card:
    """Return the card in the metadata of a file; `source` names the file in messages.

    Raises:
        MaskwrightError: no card, one of a newer format, or a damaged one.
    """
    if CARD_KEY not in metadata:
        raise MaskwrightError(
            f"{source} is not a model of maskwright: it has no card. Give a model.safetensors "
            "that maskwright train wrote, or convert another library's weights with maskwright import; to start a "
            "training from a backbone's weights, use `weights`"
        )
    try:
        values = json.loads(metadata[CARD_KEY])
        written, by = int(values["format"]), str(values["maskwright"])
    except (ValueError, KeyError, TypeError):
        raise MaskwrightError(f"{source}: the card is damaged: copy the file again, or train again") from None
    if written < FORMAT:
        raise MaskwrightError(
            f"{source} was written by maskwright {by} in format {written}, and this version reads format {FORMAT}: "
            "train the model again, or use the version that wrote it"
        )
    if written > FORMAT:
        raise MaskwrightError(
            f"{source} was written by maskwright {by} in format {written}, but this version reads formats up to "
            f"{FORMAT}: update maskwright"
        )
    if not {"task", "channels"} <= values.keys():  # they have defaults, for cards that are made
        raise MaskwrightError(f"{source}: the card is damaged: copy the file again, or train again")
    try:
        return Card.model_validate(values)
    except ValidationError as error:
        raise MaskwrightError(
            f"{source}: the card is damaged, or was edited by hand ({first_problem(error)}): copy the file again, or "
            "train again"
        ) from None
