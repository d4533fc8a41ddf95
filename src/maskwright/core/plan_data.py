"""The plan's sections about pixels: reading, splitting, sampling, augmenting. See `core.plan`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from maskwright.core.plan_section import Deviation, Factor, Level, Number, Section, Sides, Weight, Whole, image_size

Resizing = Literal["area", "bilinear"]


class DataPlan(Section):
    """How files become arrays.

    Attributes:
        channels: of the network's input; grey and RGB images are converted into one another.
        scale: working resolution as a factor on the image's own pixels.
        sides: instead of `scale`, (shorter, longer): each image is resized so that its shorter side has this length, or
            less where the longer side would exceed its own, as torchvision's detectors expect.
        resize: how images come to the working resolution: `area` shrinks them by the mean of the area and enlarges them
            linearly; `bilinear` interpolates linearly in both directions, as torchvision does.
        value_range: per channel (low, high) in file units that become 0 and 255; None for 8-bit images.
        mean, std: per channel, on the scale 0..255, of what the network is fed.
    """

    channels: Whole = Field(3, ge=1, le=512)
    scale: Number = Field(1.0, gt=0, le=4)
    sides: tuple[Whole, Whole] | None = None
    resize: Resizing = "area"
    value_range: list[tuple[Number, Number]] | None = None
    mean: list[Level] = [127.5, 127.5, 127.5]
    std: list[Deviation] = [64.0, 64.0, 64.0]

    @model_validator(mode="after")
    def _one_entry_a_channel(self) -> DataPlan:
        for name in ("mean", "std", "value_range"):
            value = getattr(self, name)
            if value is not None and len(value) != self.channels:
                raise ValueError(
                    f"data.{name} has {len(value)} entries, but data.channels is {self.channels}: give one per "
                    "channel, or leave it out"
                )
        if self.sides is not None and (not 1 <= self.sides[0] <= self.sides[1] or self.scale != 1):
            raise ValueError(
                f"data.sides is {list(self.sides)} and data.scale {self.scale:g}: sides are (shorter, longer), 1 or "
                "more, and replace the scale, which must be 1"
            )
        for low, high in self.value_range or []:
            if not low <= high:
                raise ValueError(
                    f"data.value_range holds ({low:g}, {high:g}): each pair is (low, high), the smaller one first"
                )
        return self

    def unscaled(self) -> DataPlan:
        """Return the same plan for images that are at the working resolution already."""
        return self.model_copy(update={"scale": 1.0, "sides": None})


class SplitPlan(Section):
    """How to split images into training, validation and test; used if the layout has no splits.

    Attributes:
        val, test: shares of the images, 0..1.
        group_by: regular expression on the record's id; what its first group (or the whole match) yields stays on
            one side.
    """

    val: Number = Field(0.15, ge=0, lt=1)
    test: Number = Field(0.15, ge=0, lt=1)
    group_by: str | None = None


class SamplingPlan(Section):
    """How a batch is sampled.

    Attributes:
        crop: sides of a training crop, in the order of the axes of the data.
        batch: crops per step, over all processes.
        rare_share: part of the crops that are centred on a pixel of a class drawn by `class_odds`.
        class_odds: one per class, sum 1; None for equal odds.
    """

    crop: Sides = (256, 256)
    batch: Whole = Field(8, ge=1)
    rare_share: Number = Field(0.5, ge=0, le=1)
    class_odds: list[Weight] | None = None

    @property
    def crop_size(self) -> tuple[int, int]:
        """(height, width) of a crop of an image; MaskwrightError where the crop has other axes."""
        return image_size(self.crop, "sampling.crop")


class AugmentPlan(Section):
    """How training crops are augmented.

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
        paste: probability that objects of another training image are pasted into a crop (Ghiasi et al. 2021).
    """

    zoom: tuple[Factor, Factor] = (0.5, 1.5)
    stretch: Number = Field(0.1, ge=0, lt=1)
    rotate: Number = Field(5.0, ge=0, le=180)
    flip_horizontal: Number = Field(0.5, ge=0, le=1)
    flip_vertical: Number = Field(0.0, ge=0, le=1)
    transpose: Number = Field(0.0, ge=0, le=1)
    brightness: Number = Field(0.2, ge=0, le=1)
    contrast: Number = Field(0.2, ge=0, le=1)
    saturation: Number = Field(0.2, ge=0, le=1)
    hue: Number = Field(0.03, ge=0, le=1)
    gamma: Number = Field(0.2, ge=0, lt=1)
    blur: Number = Field(0.1, ge=0, le=1)
    noise: Number = Field(4.0, ge=0)
    paste: Number = Field(0.0, ge=0, le=1)

    @model_validator(mode="after")
    def _from_low_to_high(self) -> AugmentPlan:
        if self.zoom[0] > self.zoom[1]:
            raise ValueError(f"augment.zoom is {self.zoom}: give the smaller factor first")
        return self
