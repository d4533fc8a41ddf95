"""Where an image is, and what an annotation of it consists of; nothing is decoded."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from maskwright.core.classes import IGNORE

if TYPE_CHECKING:
    from maskwright.core.read_options import Between

MaskKind = Literal["index", "color", "instance", "regions", "segment", "values"]
ID_KINDS = frozenset({"instance", "regions"})
"""The kinds of mask files that tell objects, and no classes."""


@dataclass(frozen=True)
class Reading:
    """How image files are read where they do not tell; the same for all images of a data set, and of a model.

    Attributes:
        nodata: value that stands for "nothing was measured here", besides the one that a file declares.
        upright: turn images by their EXIF orientation; False to take the pixels as they are stored.
    """

    nodata: float | None = None
    upright: bool = True


@dataclass(frozen=True)
class ImageRef:
    """The location of one image: a file, or one page of a file that holds a stack of images.

    Attributes:
        path: the file.
        page: number of the page, counted from 0; None for a file that is read as one image.
        reading: how to read it.
        more: files of the further channels, in their order, where each channel has a file of its own.
    """

    path: Path
    page: int | None = None
    reading: Reading = Reading()
    more: tuple[Path, ...] = ()

    @classmethod
    def of(cls, image: Self | Path | str) -> Self:
        """Return the reference itself, or one to a whole file."""
        return cls(Path(image)) if isinstance(image, Path | str) else image

    def absolute(self) -> Self:
        """Return the same image for a process with another working folder."""
        return replace(self, path=self.path.absolute(), more=tuple(path.absolute() for path in self.more))

    def stamp(self) -> list[list[int]]:
        """Return the size and the time of the last change of each file; of a folder, their sums over its files."""
        return [_stamp(path) for path in (self.path, *self.more)]

    @property
    def name(self) -> str:
        """The file's name, and the page: `stack.tif, page 3`."""
        return self.path.name if self.page is None else f"{self.path.name}, page {self.page}"

    def __str__(self) -> str:
        return str(self.path) if self.page is None else f"{self.path}, page {self.page}"


def _stamp(path: Path) -> list[int]:
    files = [path] if path.is_file() else filter(Path.is_file, path.rglob("*"))  # a folder's time is that of the copy
    facts = [file.stat() for file in files]
    return [sum(fact.st_size for fact in facts), sum(fact.st_mtime_ns for fact in facts)]


@dataclass(frozen=True)
class MaskFile:
    """An annotation that is a picture: one value or colour per pixel.

    Attributes:
        file: the mask file, or one page of it.
        kind: `index` (value -> class by `Dataset.value_to_index`), `color` (RGB -> class by
            `Dataset.color_to_index`), `instance` (0 is background, every other value or colour one object), `regions`
            (the same, but all objects have one value: each connected region is one), `segment` (R + 256 G + 65536 B ->
            class by `values`), `values` (measured numbers, NaN where unknown).
        values: (value, class index or `IGNORE`) of this file where they are its own, instead of
            `Dataset.value_to_index`. An object whose id is not listed is of class 1, or of the class under it
            (`Record.objects`).
        white: stands for `Dataset.white` beside `values`.
        alpha: the values are those of the alpha channel.
        crowds: the ids of crowds (`core.instances.Instance.crowd`).
        palette: stands for `Dataset.palette` beside `values`.
        areas: (value, pixels) that another file states; none where it does not.
    """

    file: ImageRef
    kind: MaskKind
    values: tuple[tuple[int, int], ...] | None = None
    white: int | None = IGNORE
    alpha: bool = False
    crowds: tuple[int, ...] = ()
    palette: tuple[tuple[int, tuple[int, int, int]], ...] = ()
    areas: tuple[tuple[int, float], ...] = ()

    @property
    def path(self) -> Path:
        """The mask file."""
        return self.file.path


@dataclass(frozen=True)
class MaskLayer:
    """One of several mask files of an image.

    Attributes:
        mask: the file.
        index: class index of everything else in it; None if its values tell the class.
    """

    mask: MaskFile
    index: int | None = None


@dataclass(frozen=True)
class MaskLayers:
    """An annotation in several mask files. Where classes overlap, the one with fewer pixels in this image counts.

    Attributes:
        layers: at least one.
        objects: each file shows one object.
    """

    layers: tuple[MaskLayer, ...]
    objects: bool = False

    @property
    def path(self) -> Path:
        """The first mask file."""
        return self.layers[0].mask.path

    @property
    def file(self) -> ImageRef:
        """The first mask file, or one page of it."""
        return self.layers[0].mask.file


@dataclass(frozen=True)
class Shape:
    """One annotated object: polygons or a run-length code, in pixels of the image.

    Attributes:
        index: class index, or `IGNORE` for a region to leave out (a crowd).
        polygons: closed rings [x0, y0, x1, y1, ...]; several rings are several parts of one object.
        rle: COCO run-length code {"size": [h, w], "counts": bytes | list[int]}, instead of polygons.
        holes: the rings cut out of each polygon, in the order of `polygons`; empty if none has a hole.
        crowd: class index of the objects that an ignored region shows together; None for any other shape.
    """

    index: int
    polygons: tuple[tuple[float, ...], ...] = ()
    rle: dict[str, object] | None = None
    holes: tuple[tuple[tuple[float, ...], ...], ...] = ()
    crowd: int | None = None


@dataclass(frozen=True)
class Shapes:
    """An annotation that is a list of objects; the mask is painted on request.

    Attributes:
        path: the file that the shapes were read from.
        shapes: in the order of painting: a later one covers an earlier one.
        normalized: coordinates run from 0 to 1 instead of in pixels (YOLO).
        size: (height, width) of the image on which the shapes were drawn, if the file tells.
    """

    path: Path
    shapes: tuple[Shape, ...]
    normalized: bool = False
    size: tuple[int, int] | None = None


@dataclass(frozen=True)
class EdgeFiles:
    """An annotation of edges that people drew.

    Attributes:
        files: a picture for each person, or one .mat file with the maps of all of them. The values of a single picture
            may be the share of people who drew an edge.
    """

    files: tuple[ImageRef, ...]

    @property
    def path(self) -> Path:
        """The first file."""
        return self.files[0].path

    @property
    def file(self) -> ImageRef:
        """The first file."""
        return self.files[0]


@dataclass(frozen=True)
class MaskEdges:
    """An annotation of edges that follow from a mask: they lie between its regions.

    Attributes:
        masks: the regions; `Dataset.masks` tells what they mean.
        objects: stands for `Record.objects` beside `masks`.
        between: which regions.
    """

    masks: MaskFile | MaskLayers | Shapes
    objects: MaskFile | None
    between: Between

    @property
    def path(self) -> Path:
        """The file of the regions."""
        return self.masks.path


Annotation = MaskFile | MaskLayers | Shapes | EdgeFiles | MaskEdges


def mask_files(annotation: Annotation | None) -> tuple[Path, ...]:
    """Return the mask files of an annotation; none for outlines and edges."""
    if isinstance(annotation, MaskLayers):
        return tuple(layer.mask.path for layer in annotation.layers)
    return (annotation.path,) if isinstance(annotation, MaskFile) else ()
