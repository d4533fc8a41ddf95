"""The fingerprint: what the data looks like, measured. `data.fingerprint` measures it, `planning` decides from it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from maskwright.core.records import Fault


@dataclass(frozen=True)
class Spread:
    """Minimum, 10th percentile, median, 90th percentile and maximum of a quantity."""

    low: float
    p10: float
    median: float
    p90: float
    high: float


@dataclass(frozen=True)
class ChannelStats:
    """Intensity of one channel over all images, in the files' own units.

    `p_low` and `p_high` are the 0.5th and 99.5th percentile: what 16-bit and float images are stretched between.
    `clipped_mean` and `clipped_std` are of the values brought into that range, as the network sees them.
    """

    minimum: float
    maximum: float
    mean: float
    std: float
    p_low: float
    p_high: float
    clipped_mean: float
    clipped_std: float


@dataclass(frozen=True)
class ClassStats:
    """How often and how large one class is.

    Attributes:
        name: of the class.
        pixels: labelled pixels of it, in all images.
        share: of all pixels that are not ignored, 0..1.
        images: number of images that show it, by split (`train`, `val`, `test`, or `all` before there are splits).
        objects: connected regions (or annotated objects, where the format knows them), counted over all images.
        size: square root of an object's area in pixels, or None without objects.
        thickness: 4 x the mean distance to the region's edge, an object's width in pixels, or None.
        annotated: the objects are annotated ones, and no regions.
    """

    name: str
    pixels: int
    share: float
    images: dict[str, int]
    objects: int
    size: Spread | None
    thickness: Spread | None
    annotated: bool = False


@dataclass(frozen=True)
class ObjectStats:
    """The objects of annotations that tell objects; crowds are no objects.

    Attributes:
        images: number of images in which objects were counted.
        objects: number of objects in these images.
        crowds: number of crowds in them.
        per_image: objects of one image.
        diameter: of the circle with the area of an object, in pixels; None without an object.
        touching: share of the objects that touch or overlap another one, 0..1.
        overlapping: share of the objects that share pixels with another one.
        lost: pixels that a map of ids cannot hold, since it gives each pixel to one object.
        cut: share of the objects that reach the image border.
        parted: share of the objects that consist of several parts.
    """

    images: int
    objects: int
    crowds: int
    per_image: Spread
    diameter: Spread | None
    touching: float
    overlapping: float
    lost: int
    cut: float
    parted: float


@dataclass(frozen=True)
class EdgeStats:
    """The edges that people drew.

    Attributes:
        images: number of images that were measured.
        people: who drew the edges of one image.
        share: of the pixels that a person marked, the mean over people and images.
        agreement: share of a person's edge pixels near those of another, the mean over pairs of people and images; None
            where only one person drew each image.
        soft: number of images whose picture holds shares of people; each counts as one person, who marked what half of
            them did.
    """

    images: int
    people: Spread
    share: float
    agreement: float | None
    soft: int = 0


@dataclass(frozen=True)
class Fingerprint:
    """Everything the plan is made from.

    Attributes:
        root: where the data is.
        format: name of the format recognised.
        layout: what was seen, in words.
        images: usable images with an annotation.
        splits: number of usable images by split (empty before there are splits).
        heights: of the images, in pixels.
        widths: of the images, in pixels.
        sizes: the commonest sizes, "WxH" -> count (at most ten).
        channels: number of channels -> images.
        dtypes: pixel type (`uint8`, `uint16`, `float32`) -> images.
        intensity: one entry a channel, of the commonest number of channels.
        class_stats: one entry a class, by index.
        ignore_share: part of all pixels that carry no label, 0..1.
        flip_horizontal: how alike the masks are to their mirror images, left to right, 0..1 (1: no difference that
            chance would not explain).
        flip_vertical: the same, upside down.
        groups: number of groups, or 0 where there are none.
        near_duplicates: images that are nearly the same as another one.
        decode_seconds: median seconds to read and decode one image and its mask, on this machine.
        faults: everything found wrong, worst first.
        obstacle: why training cannot work at all, and what helps; None where it can.
        annotated: images with an annotation, usable or not; None where that was not counted.
        no_data_share: part of all pixels in which the images have no data, 0..1; they are ignored too.
        objects: the annotated objects, or None where the annotations tell none.
        edges: the drawn edges, or None for other annotations.
    """

    root: str
    format: str
    layout: str
    images: int
    splits: dict[str, int]
    heights: Spread
    widths: Spread
    sizes: dict[str, int]
    channels: dict[int, int]
    dtypes: dict[str, int]
    intensity: tuple[ChannelStats, ...]
    class_stats: tuple[ClassStats, ...]
    ignore_share: float
    flip_horizontal: float
    flip_vertical: float
    groups: int
    near_duplicates: int
    decode_seconds: float
    faults: tuple[Fault, ...] = field(default=())
    obstacle: str | None = None
    annotated: int | None = None
    no_data_share: float = 0.0
    objects: ObjectStats | None = None
    edges: EdgeStats | None = None

    @property
    def trainable(self) -> bool:
        """Whether training can work at all."""
        return self.obstacle is None

    @property
    def shown_objects(self) -> tuple[bool, ...]:
        """Whether to show the objects of each class: where some are annotated, the regions of a class are none."""
        some = any(entry.annotated for entry in self.class_stats)
        return tuple(entry.annotated or not some for entry in self.class_stats)

    def usable(self) -> str:
        """Say how many images can be used, and of how many where that is not all of them."""
        if self.annotated is None or self.annotated == self.images:
            return f"{self.images:,} usable"
        return f"{self.images:,} of {self.annotated:,} annotated images are usable"

    def to_json(self) -> dict[str, Any]:
        """Return plain types only, fit for `json.dumps`."""
        plain = asdict(self)
        plain["faults"] = [{**entry, "path": str(entry["path"])} for entry in plain["faults"]]
        plain["channels"] = {str(count): images for count, images in self.channels.items()}
        plain["trainable"] = self.trainable
        return plain

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> Fingerprint:
        """Build the fingerprint that `to_json` took apart."""
        values = {key: value for key, value in plain.items() if key != "trainable"}
        values["heights"], values["widths"] = Spread(**plain["heights"]), Spread(**plain["widths"])
        values["channels"] = {int(count): images for count, images in plain["channels"].items()}
        values["intensity"] = tuple(ChannelStats(**entry) for entry in plain["intensity"])
        values["class_stats"] = tuple(_class_stats(entry) for entry in plain["class_stats"])
        values["objects"] = _object_stats(plain.get("objects"))
        values["edges"] = _edge_stats(plain.get("edges"))
        values["faults"] = tuple(Fault(**{**entry, "path": Path(entry["path"])}) for entry in plain["faults"])
        return cls(**values)


def _class_stats(plain: dict[str, Any]) -> ClassStats:
    spreads = {key: None if plain[key] is None else Spread(**plain[key]) for key in ("size", "thickness")}
    return ClassStats(**{**plain, **spreads})


def _object_stats(plain: dict[str, Any] | None) -> ObjectStats | None:
    if plain is None:
        return None
    diameter = None if plain["diameter"] is None else Spread(**plain["diameter"])
    return ObjectStats(**{**plain, "per_image": Spread(**plain["per_image"]), "diameter": diameter})


def _edge_stats(plain: dict[str, Any] | None) -> EdgeStats | None:
    return None if plain is None else EdgeStats(**{**plain, "people": Spread(**plain["people"])})
