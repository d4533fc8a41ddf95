"""The plan: every decision about one training, as data. `planning` makes it, everything above follows it.

Lengths are in pixels of the working resolution unless stated otherwise. `core.plan_file` reads and writes it.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from maskwright.core.plan_data import AugmentPlan, DataPlan, SamplingPlan, SplitPlan
from maskwright.core.plan_learning import (
    AdversarialPlan,
    DiscriminatorInput,
    DiscriminatorName,
    DistillPlan,
    EdgesPlan,
    Formulation,
    LoraPlan,
    LossPlan,
    ModelPlan,
    ObjectsPlan,
    OptimPlan,
    TrainPlan,
    Weighting,
)
from maskwright.core.plan_section import Flag, Number, Precision, Section, Sides, Whole, image_size

__all__ = [
    "AdversarialPlan",
    "AugmentPlan",
    "CrfPlan",
    "DataPlan",
    "DiscriminatorInput",
    "DiscriminatorName",
    "DistillPlan",
    "EdgeWatershedPlan",
    "EdgesPlan",
    "Formulation",
    "LoraPlan",
    "LossPlan",
    "ModelPlan",
    "ObjectsPlan",
    "OptimPlan",
    "Plan",
    "PostprocessPlan",
    "Precision",
    "PredictPlan",
    "SamplingPlan",
    "Section",
    "SplitPlan",
    "SuperpixelsPlan",
    "TrainPlan",
    "Weighting",
]


def _further_sizes(scales: tuple[float, ...]) -> tuple[float, ...]:
    """Check `predict.scales`."""
    if 1 in scales or len(set(scales)) < len(scales):
        raise ValueError(
            f"predict.scales is {list(scales)}, and every size counts once, that of the image (1) always: leave out 1 "
            "and what is there twice"
        )
    return scales


class PredictPlan(Section):
    """How whole images are predicted.

    Attributes:
        tile: size of the network input, in the order of the axes of the data.
        overlap: of neighbouring tiles, as a share of their side.
        flip: average with the prediction for the flipped image.
        flip_scale: size of the flipped image, as a factor on the working resolution: below 1, two scales are averaged,
            and the flip takes less time.
        scales: further sizes of the image, as factors on the working resolution, that are averaged too.
        flip_pixels: of the largest image that is averaged so; larger ones are predicted once, in half the time or less.
        output_stride: 4, 8, 16 or 32: largest stride of the network, if it can be changed after training; None for the
            stride that it was trained at.
        window: what the network averages over the whole image, it averages over windows of this size around each pixel,
            in the order of the axes of the data; None for the whole image.
    """

    tile: Sides = (512, 512)
    overlap: Number = Field(0.25, ge=0, le=0.5)
    flip: Flag = False
    flip_scale: Number = Field(1.0, ge=0.25, le=2)
    scales: Annotated[
        tuple[Annotated[Number, Field(ge=0.25, le=2)], ...], Field(max_length=4), AfterValidator(_further_sizes)
    ] = ()
    flip_pixels: Whole = Field(1 << 24, ge=0)
    output_stride: Literal[4, 8, 16, 32] | None = None
    window: Sides | None = None

    @property
    def views(self) -> tuple[tuple[float, bool], ...]:
        """(scale, mirrored) of each view of the image whose prediction is averaged with that of the image itself."""
        mirrored = [(self.flip_scale, True)] if self.flip else []
        return (*mirrored, *((scale, False) for scale in self.scales))

    def alone(self) -> PredictPlan:
        """Return the same without any view that is averaged."""
        return self.model_copy(update={"flip": False, "scales": ()})

    @property
    def tile_size(self) -> tuple[int, int]:
        """(height, width) of the tile of an image; MaskwrightError if the tile has other axes."""
        return image_size(self.tile, "predict.tile")


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

    w1: Number = Field(4.0, ge=0, le=100)
    theta_alpha: Number = Field(40.0, ge=1, le=10_000)
    theta_beta: Number = Field(5.0, ge=1, le=255)
    w2: Number = Field(3.0, ge=0, le=100)
    theta_gamma: Number = Field(3.0, ge=0.5, le=10_000)
    iterations: Whole = Field(10, ge=1, le=100)


class SuperpixelsPlan(Section):
    """The superpixel filter that may follow the network (`postprocess.superpixels`).

    Attributes:
        side: of a superpixel, in pixels of the image: the root of its mean area.
        share: of the mean over the superpixel in each new probability; the rest is what the network says.
    """

    side: Number = Field(14.0, ge=2, le=10_000)
    share: Number = Field(0.5, ge=0, le=1)


class EdgeWatershedPlan(Section):
    """The watershed on the edges that the network predicts beside its classes (`postprocess.edges`).

    Attributes:
        doubt: a pixel whose likeliest class has a probability below 1 - `doubt` takes the class that grows into it.
    """

    doubt: Number = Field(0.3, gt=0, le=0.5)


class RegionsPlan(Section):
    """The region filter that may follow the network (`postprocess.regions`).

    Attributes:
        least: for each class, in the order of the classes, the pixels of the image that a connected region of it must
            have to stay; the last number holds for all further classes.
    """

    least: tuple[Annotated[Whole, Field(ge=0, le=1_000_000)], ...] = Field((16,), min_length=1, max_length=255)


class PostprocessPlan(Section):
    """Postprocessing after the network: settings where a search starts, or what it found.

    None: training does not search, and a postprocessor that is requested later starts from the defaults.

    Attributes:
        crf: the dense CRF.
        superpixels: the superpixel filter.
        edges: the watershed on predicted edges.
        regions: the region filter.
    """

    crf: CrfPlan | None = None
    superpixels: SuperpixelsPlan | None = None
    edges: EdgeWatershedPlan | None = None
    regions: RegionsPlan | None = None


class Plan(Section):
    """Every decision about one training; `task` is in `tasks.TASKS`; `reasons` maps a dotted key to why it is so."""

    version: Literal[1] = 1
    task: str = "semantic"
    seed: Whole = Field(0, ge=0)
    data: DataPlan = DataPlan()
    split: SplitPlan = SplitPlan()
    model: ModelPlan = ModelPlan()
    objects: ObjectsPlan = ObjectsPlan()
    edges: EdgesPlan = EdgesPlan()
    loss: LossPlan = LossPlan()
    adversarial: AdversarialPlan = AdversarialPlan()
    distill: DistillPlan = DistillPlan()
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
