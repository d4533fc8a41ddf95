"""The plan: every decision about one training, as data. `planning` makes it, everything above obeys it.

Lengths are in pixels of the working resolution unless said. `core.plan_file` reads and writes it.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

Side = Annotated[int, Field(ge=8)]
"""Of a crop or a tile, in pixels: below 8 a network sees nothing."""
Weight = Annotated[float, Field(ge=0)]
Level = Annotated[float, Field(ge=-255, le=510)]
Deviation = Annotated[float, Field(gt=0)]
Factor = Annotated[float, Field(gt=0, le=16)]
Precision = Literal["32-true", "bf16-mixed", "16-mixed"]
Opponent = Literal["large-fov", "large-fov-light", "small-fov", "small-fov-light"]
OpponentInput = Literal["labels", "product", "image"]
Weighting = Literal["inverse-sqrt", "median-frequency", "class-balanced", "none"]


class Section(BaseModel):
    """A part of the plan: unknown keys are refused, values are checked on assignment too."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True, allow_inf_nan=False)


class DataPlan(Section):
    """How files become arrays.

    Attributes:
        channels: of the network's input; grey and RGB images are converted into one another.
        scale: working resolution as a factor on the image's own pixels.
        value_range: per channel (low, high) in file units that become 0 and 255; None for 8-bit images.
        mean, std: per channel, on the scale 0..255, of what the network is fed.
    """

    channels: int = Field(3, ge=1, le=512)
    scale: float = Field(1.0, gt=0, le=4)
    value_range: list[tuple[float, float]] | None = None
    mean: list[Level] = [127.5, 127.5, 127.5]
    std: list[Deviation] = [64.0, 64.0, 64.0]

    @model_validator(mode="after")
    def _one_entry_a_channel(self) -> DataPlan:
        for name in ("mean", "std", "value_range"):
            value = getattr(self, name)
            if value is not None and len(value) != self.channels:
                raise ValueError(f"data.{name} has {len(value)} entries, but data.channels is {self.channels}")
        for low, high in self.value_range or []:
            if not low <= high:
                raise ValueError(
                    f"data.value_range holds ({low:g}, {high:g}): each pair is (low, high), the smaller one first"
                )
        return self


class SplitPlan(Section):
    """Which images train, which choose the model, and which judge it; used where the layout does not say.

    Attributes:
        val, test: shares of the images, 0..1.
        group_by: regular expression on the record's id; what its first group (or the whole match) yields stays on
            one side.
    """

    val: float = Field(0.15, ge=0, lt=1)
    test: float = Field(0.15, ge=0, lt=1)
    group_by: str | None = None


class ModelPlan(Section):
    """Which network.

    Attributes:
        name: in `models.MODELS`.
        backbone: in `models.BACKBONES`, or `timm:NAME` for any timm backbone with `features_only`.
        pretrained: start the backbone from published weights.
        weights: a local file of weights to start from.
        dropout: before the last layer.
        aux_levels: levels of the backbone's pyramid, 0 the finest and -1 the coarsest, that get an auxiliary head;
            None for what the architecture has of its own.
        options: keyword arguments of the architecture's builder.
    """

    name: str = "swiftnet"
    backbone: str | None = None
    pretrained: bool = False
    weights: str | None = None
    dropout: float = Field(0.0, ge=0, lt=1)
    aux_levels: list[int] | None = None
    options: dict[str, Any] = {}


class LossPlan(Section):
    """What is minimised.

    Attributes:
        terms: loss name in `losses.LOSSES` -> weight in the sum.
        options: loss name -> its own settings, such as `focal: {gamma: 1.5}`.
        class_weights: one a class, mean 1, for the losses that take them; None for equal weights.
        class_weighting: how planning reckons `class_weights` from the data: `inverse-sqrt` of the frequency,
            `median-frequency`, `class-balanced` by the effective number of objects, or `none`.
        class_balance: beta of `class-balanced`: 0 weighs all classes alike, towards 1 by their number of objects.
        label_smoothing: of the cross-entropy.
        auxiliary: weight of the loss on auxiliary heads.
    """

    terms: dict[str, Weight] = {"cross_entropy": 1.0, "dice": 1.0}
    options: dict[str, dict[str, float]] = {}
    class_weights: list[Weight] | None = None
    class_weighting: Weighting = "inverse-sqrt"
    class_balance: float = Field(0.999, ge=0, lt=1)
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    auxiliary: float = Field(0.4, ge=0)


class AdversarialPlan(Section):
    """An opponent that learns to tell predicted label maps from true ones, for the network to fool.

    Attributes:
        weight: of the opponent's verdict in the loss; 0 for no opponent.
        network: in `models.discriminator.NETWORKS`.
        width: channels of its first layer; the others keep their proportion to it.
        input: `labels` alone, their `product` with the image, or the `image` beside them.
        tau: least probability that the true class has in the true map that it is shown; 1 shows the labels as they are.
        lr: its highest learning rate; it follows `optim.schedule`.
    """

    weight: float = Field(0.0, ge=0)
    network: Opponent = "large-fov"
    width: int = Field(96, ge=1)
    input: OpponentInput = "labels"
    tau: float = Field(0.9, gt=0, le=1)
    lr: float = Field(2e-4, gt=0)


class SamplingPlan(Section):
    """What a batch is made of.

    Attributes:
        crop: (height, width) of a training crop.
        batch: crops a step, over all processes.
        rare_share: part of the crops that are centred on a pixel of a class drawn by `class_odds`.
        class_odds: one a class, sum 1; None for equal odds.
    """

    crop: tuple[Side, Side] = (256, 256)
    batch: int = Field(8, ge=1)
    rare_share: float = Field(0.5, ge=0, le=1)
    class_odds: list[Weight] | None = None


class AugmentPlan(Section):
    """How a training crop is changed.

    Attributes:
        zoom: factors on the working resolution, drawn log-uniformly.
        stretch: largest change of the aspect ratio, as a share.
        rotate: largest angle, in degrees.
        flip_horizontal, flip_vertical: probabilities.
        transpose: probability of swapping the axes (with both flips: all eight orientations).
        brightness, contrast, saturation: largest change, as a share of the range.
        hue: largest shift between channels, as a share of the range.
        gamma: largest change of the exponent, as a share.
        blur: probability of a small Gaussian blur.
        noise: largest standard deviation of Gaussian noise, on the scale 0..255.
    """

    zoom: tuple[Factor, Factor] = (0.5, 1.5)
    stretch: float = Field(0.1, ge=0, lt=1)
    rotate: float = Field(5.0, ge=0, le=180)
    flip_horizontal: float = Field(0.5, ge=0, le=1)
    flip_vertical: float = Field(0.0, ge=0, le=1)
    transpose: float = Field(0.0, ge=0, le=1)
    brightness: float = Field(0.2, ge=0, le=1)
    contrast: float = Field(0.2, ge=0, le=1)
    saturation: float = Field(0.2, ge=0, le=1)
    hue: float = Field(0.03, ge=0, le=1)
    gamma: float = Field(0.2, ge=0, lt=1)
    blur: float = Field(0.1, ge=0, le=1)
    noise: float = Field(4.0, ge=0)

    @model_validator(mode="after")
    def _from_low_to_high(self) -> AugmentPlan:
        if self.zoom[0] > self.zoom[1]:
            raise ValueError(f"augment.zoom is {self.zoom}: give the smaller factor first")
        return self


def _freeze(text: str) -> str:
    """Check `optim.freeze`; `until-step 200` is written `until-step=200`."""
    found = re.fullmatch(r"none|backbone|until-step[ =](\d+)", text.strip())
    if found is None:
        raise ValueError(f"optim.freeze is {text!r}: it is none, backbone, or until-step=N, e.g. until-step=200")
    return text.strip() if found[1] is None else f"until-step={int(found[1])}"


class OptimPlan(Section):
    """How the weights move.

    Attributes:
        name: optimiser in `training.OPTIMIZERS`.
        lr: highest learning rate.
        weight_decay: not applied to norms and biases.
        momentum: of SGD and RMSprop.
        clip: largest norm of the gradient; 0 for none.
        accumulate: micro-batches a step.
        schedule: `cosine`, `poly` (power 0.9) or `constant`.
        warmup: share of the training in which the learning rate rises from 0.
        ema: decay of the averaged weights that are validated and saved; 0 for none.
        freeze: `none`; `backbone`: it stays as it is, statistics of norms included; `until-step=N`: so for N steps.
        backbone_lr: learning rate of the backbone, as a factor on `lr`.
    """

    name: str = "adamw"
    lr: float = Field(2e-3, gt=0)
    weight_decay: float = Field(0.02, ge=0)
    momentum: float = Field(0.9, ge=0, lt=1)
    clip: float = Field(1.0, ge=0)
    accumulate: int = Field(1, ge=1)
    schedule: Literal["cosine", "poly", "constant"] = "cosine"
    warmup: float = Field(0.05, ge=0, lt=1)
    ema: float = Field(0.99, ge=0, lt=1)
    freeze: Annotated[str, AfterValidator(_freeze)] = "none"
    backbone_lr: float = Field(1.0, gt=0, le=10)


class LoraPlan(Section):
    """Train low-rank changes of the weights instead of the weights; see `models.lora`.

    Attributes:
        rank: of the change, the same for every layer that has room for it; 0 trains the weights themselves.
        alpha: the change is scaled by alpha / rank.
        decoder: change the decoder in this way too, because it starts from weights that know something; otherwise it
            is trained whole.
    """

    rank: int = Field(0, ge=0, le=1024)
    alpha: float = Field(16.0, gt=0)
    decoder: bool = False


class TrainPlan(Section):
    """How long, how fast, how careful.

    Attributes:
        steps: optimiser steps.
        budget_seconds: of the whole command; steps then follow the clock. None: exactly `steps`.
        precision: Fabric's name: `32-true`, `bf16-mixed` or `16-mixed`.
        channels_last: memory format of images and weights.
        gradient_checkpointing: recompute activations to save memory.
        validations: how many times the model is scored on validation data.
        validation_images: at most so many of them each time.
        patience: stop after so many validations without a better score; 0 for never.
        checkpoint_seconds: between two checkpoints.
        threads: that decode and augment.
    """

    steps: int = Field(1000, ge=1)
    budget_seconds: float | None = Field(None, gt=0)
    precision: Precision = "32-true"
    channels_last: bool = True
    gradient_checkpointing: bool = False
    validations: int = Field(8, ge=1)
    validation_images: int = Field(64, ge=1)
    patience: int = Field(0, ge=0)
    checkpoint_seconds: float = Field(60.0, gt=0)
    threads: int = Field(1, ge=1)


class PredictPlan(Section):
    """How whole images are predicted.

    Attributes:
        tile: (height, width) of one pass through the network.
        overlap: of neighbouring tiles, as a share of their side.
        flip: average with the mirrored image's prediction.
        output_stride: 8, 16 or 32: largest stride of the network, where that can be changed after training; None for
            the stride that it was trained at.
    """

    tile: tuple[Side, Side] = (512, 512)
    overlap: float = Field(0.25, ge=0, le=0.5)
    flip: bool = False
    output_stride: Literal[8, 16, 32] | None = None


class CrfPlan(Section):
    """The dense CRF that may follow the network (`postprocess.crf`); thetas are standard deviations.

    Attributes:
        w1: weight of the appearance kernel.
        theta_alpha: of its positions, in pixels of the image.
        theta_beta: of its colours, on the scale 0..255.
        w2: weight of the smoothness kernel.
        theta_gamma: of its positions, in pixels of the image.
        iterations: of the mean field.
    """

    w1: float = Field(4.0, ge=0, le=100)
    theta_alpha: float = Field(40.0, ge=1, le=10_000)
    theta_beta: float = Field(5.0, ge=1, le=255)
    w2: float = Field(3.0, ge=0, le=100)
    theta_gamma: float = Field(3.0, ge=0.5, le=10_000)
    iterations: int = Field(10, ge=1, le=100)


class PostprocessPlan(Section):
    """What may follow the network.

    Attributes:
        crf: where a search for the dense CRF's parameters starts, or what it found; None: no training looks for them,
            and what asks for a CRF later starts from the defaults.
    """

    crf: CrfPlan | None = None


class Plan(Section):
    """Every decision about one training; `reasons` maps a dotted key (`data.scale`) to why it is so."""

    version: Literal[1] = 1
    task: Literal["semantic"] = "semantic"
    seed: int = Field(0, ge=0)
    data: DataPlan = DataPlan()
    split: SplitPlan = SplitPlan()
    model: ModelPlan = ModelPlan()
    loss: LossPlan = LossPlan()
    adversarial: AdversarialPlan = AdversarialPlan()
    sampling: SamplingPlan = SamplingPlan()
    augment: AugmentPlan = AugmentPlan()
    optim: OptimPlan = OptimPlan()
    lora: LoraPlan = LoraPlan()
    train: TrainPlan = TrainPlan()
    predict: PredictPlan = PredictPlan()
    postprocess: PostprocessPlan = PostprocessPlan()
    reasons: dict[str, str] = {}

    @model_validator(mode="after")
    def _frozen_is_not_trained(self) -> Plan:
        if self.optim.freeze == "backbone":
            for key, asked in (("lora.rank", self.lora.rank > 0), ("optim.backbone_lr", self.optim.backbone_lr != 1)):
                if asked:
                    raise ValueError(f"optim.freeze is backbone, and {key} would train it: leave one of the two out")
        return self
