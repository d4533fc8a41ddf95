"""The plan's sections about learning: network, loss, discriminator, optimiser, length. See `core.plan`."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from maskwright.core.plan_section import Flag, Number, Precision, Section, Weight, Whole

DiscriminatorName = Literal["large-fov", "large-fov-light", "small-fov", "small-fov-light", "two-branch"]
DiscriminatorInput = Literal["labels", "product"]
Formulation = Literal["depth", "centres"]
Weighting = Literal["inverse-sqrt", "median-frequency", "class-balanced", "none"]


class ModelPlan(Section):
    """Which network.

    Attributes:
        name: in `models.MODELS`; an imported model may be one of `models.catalog.IMPORTED`.
        backbone: in `models.BACKBONES`, or `timm:NAME` for any timm backbone with `features_only`.
        pretrained: start the backbone from published weights.
        weights: a local file of weights to start from.
        dropout: before the last layer.
        aux_levels: levels of the backbone's pyramid, 0 the finest and -1 the coarsest, that get an auxiliary head;
            None for the default of the architecture.
        options: keyword arguments of the architecture's builder.
    """

    name: str = "swiftnet"
    backbone: str | None = None
    pretrained: Flag = False
    weights: str | None = None
    dropout: Number = Field(0.0, ge=0, lt=1)
    aux_levels: list[Whole] | None = None
    options: dict[str, Any] = {}

    def plain(self) -> ModelPlan:
        """Return the same network without starting weights, for a model whose weights are loaded afterwards."""
        return self.model_copy(update={"pretrained": False, "weights": None})


class ObjectsPlan(Section):
    """How maps tell objects apart, for the tasks of objects.

    Attributes:
        formulation: `depth`, how deep a pixel lies in its object and where objects meet; or `centres`, where the
            centres are and how each pixel gets to its own.
        things: names of the classes whose objects are told apart; None for those that the format names, or else all
            but the background.
    """

    formulation: Formulation = "depth"
    things: list[str] | None = None


class EdgesPlan(Section):
    """What is learnt of edges.

    Attributes:
        weight: of the loss of an edge channel beside the other channels, for networks that emit masks as maps; 0 for
            no such channel.
        share: share of people from which on a pixel that they marked is an edge, for the task `edges`. Fewer people
            than that leave it out.
        width: of the edges that are learnt, in pixels, for the task `edges`.
    """

    weight: Number = Field(0.0, ge=0)

    share: Number = Field(0.3, gt=0, le=1)
    width: Literal[1, 3, 5] = 1


class LossPlan(Section):
    """What is minimised.

    Attributes:
        terms: loss name in `losses.LOSSES` -> weight in the sum.
        options: loss name -> its own settings, such as `focal: {gamma: 1.5}`.
        class_weights: one per class, mean 1, for the losses that take them; None for equal weights.
        class_weighting: how planning computes `class_weights` from the data: `inverse-sqrt` of the frequency,
            `median-frequency`, `class-balanced` by the effective number of objects, or `none`.
        class_balance: beta of `class-balanced`: 0 weights all classes equally, close to 1 by their number of objects.
        label_smoothing: of the cross-entropy.
        auxiliary: weight of the loss on auxiliary heads.
        full_size: enlarge the logits to the size of the crop and compare them with every label; otherwise they stay at
            the stride of the decoder and are compared with every `stride`-th label.
    """

    terms: dict[str, Weight] = {"cross_entropy": 1.0, "dice": 1.0}
    options: dict[str, dict[str, Number]] = {}
    class_weights: list[Weight] | None = None
    class_weighting: Weighting = "inverse-sqrt"
    class_balance: Number = Field(0.999, ge=0, lt=1)
    label_smoothing: Number = Field(0.0, ge=0, lt=1)
    auxiliary: Number = Field(0.4, ge=0)
    full_size: Flag = False


class AdversarialPlan(Section):
    """A discriminator that learns to tell predicted label maps from true ones, while the network learns to fool it.

    Attributes:
        weight: of the adversarial loss; 0 trains without a discriminator.
        network: in `models.discriminator.NETWORKS`.
        width: scales its channels; 96 gives those of the paper.
        input: `labels` alone, or their `product` with the image; `two-branch` takes both unchanged.
        tau: smallest probability of the true class in the true map that it gets; 1 for one-hot labels.
        lr: its peak learning rate; it follows `optim.schedule`.
    """

    weight: Number = Field(0.0, ge=0)
    network: DiscriminatorName = "large-fov"
    width: Whole = Field(96, ge=1)
    input: DiscriminatorInput = "labels"
    tau: Number = Field(0.9, gt=0, le=1)
    lr: Number = Field(2e-4, gt=0)

    @model_validator(mode="after")
    def _one_image(self) -> Self:
        if self.network == "two-branch" and self.input == "product":
            raise ValueError(
                "adversarial.input is product, but the network two-branch already has a branch for the image: "
                "set it to labels, or choose another adversarial.network"
            )
        return self


class DistillPlan(Section):
    """A trained model, the teacher, whose maps the network learns beside the labels.

    Attributes:
        teacher: its model file; None for none.
        weight: of the distance from its maps, beside the loss on the labels.
        temperature: that the raw maps of both are divided by: above 1, small probabilities count more.
    """

    teacher: str | None = None
    weight: Number = Field(1.0, gt=0)
    temperature: Number = Field(2.0, gt=0, le=100)


def _freeze(text: str) -> str:
    """Check `optim.freeze`; `until-step 200` is written `until-step=200`."""
    found = re.fullmatch(r"none|backbone|until-step[ =](\d+)", text.strip())
    if found is None:
        raise ValueError(f"optim.freeze is {text!r}, and must be none, backbone or until-step=N, e.g. until-step=200")
    return text.strip() if found[1] is None else f"until-step={int(found[1])}"


class OptimPlan(Section):
    """How the weights are updated.

    Attributes:
        name: optimiser in `training.OPTIMIZERS`.
        lr: peak learning rate.
        weight_decay: not applied to norms and biases.
        momentum: of SGD and RMSprop.
        clip: largest norm of the gradient; 0 for no clipping.
        accumulate: micro-batches per step.
        schedule: `cosine`, `poly` (power 0.9), `constant`, or `cooldown`: constant, and zero at the end.
        cooldown: share of the training in which the rate of `cooldown` falls to zero.
        warmup: share of the training in which the learning rate rises from 0.
        ema: EMA decay of the averaged weights, which are validated and saved; 0 for no averaging.
        freeze: `none`; `backbone`: it does not change, nor do the statistics of its norms; `until-step=N`: for N steps.
        backbone_lr: learning rate of the backbone, as a factor on `lr`.
    """

    name: str = "adamw"
    lr: Number = Field(2e-3, gt=0)
    weight_decay: Number = Field(0.02, ge=0)
    momentum: Number = Field(0.9, ge=0, lt=1)
    clip: Number = Field(1.0, ge=0)
    accumulate: Whole = Field(1, ge=1)
    schedule: Literal["cosine", "poly", "constant", "cooldown"] = "cosine"
    cooldown: Number = Field(0.3, gt=0, le=1)
    warmup: Number = Field(0.05, ge=0, lt=1)
    ema: Number = Field(0.99, ge=0, lt=1)
    freeze: Annotated[str, AfterValidator(_freeze)] = "none"
    backbone_lr: Number = Field(1.0, gt=0, le=10)


class LoraPlan(Section):
    """Train low-rank updates (LoRA) of the weights instead of the weights; see `models.lora`.

    Attributes:
        rank: of the updates, the same for every layer that is large enough; 0 trains the weights themselves.
        alpha: each update is scaled by alpha / rank, with the rank that the layer has.
        decoder: train low-rank updates of the decoder too, because it starts from trained weights; otherwise all of
            its weights are trained.
    """

    rank: Whole = Field(0, ge=0, le=1024)
    alpha: Number = Field(16.0, gt=0)
    decoder: Flag = False


class TrainPlan(Section):
    """Length, precision, validation and checkpoints of a training.

    Attributes:
        steps: optimiser steps.
        budget_seconds: for the whole command; the number of steps is then adjusted to the time. None: exactly `steps`.
        precision: Fabric's name: `32-true`, `bf16-mixed` or `16-mixed`.
        channels_last: memory format of images and weights.
        gradient_checkpointing: recompute activations to save memory.
        validations: how many times the model is scored on validation data.
        validation_images: largest number of images in each validation.
        patience: stop after this many validations without a better score; 0 to never stop early.
        checkpoint_seconds: seconds between two checkpoints.
        threads: number of threads that decode and augment.
    """

    steps: Whole = Field(1000, ge=1)
    budget_seconds: Number | None = Field(None, gt=0)
    precision: Precision = "32-true"
    channels_last: Flag = True
    gradient_checkpointing: Flag = False
    validations: Whole = Field(8, ge=1)
    validation_images: Whole = Field(64, ge=1)
    patience: Whole = Field(0, ge=0)
    checkpoint_seconds: Number = Field(60.0, gt=0)
    threads: Whole = Field(1, ge=1)
