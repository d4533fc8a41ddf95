"""Records: one image with its annotation, its split and its group, not yet decoded; and the faults found while reading.

Nothing here opens a file. `data.formats` makes records, `data.readers` decodes them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from maskwright.core.classes import IGNORE
from maskwright.core.naming import NOWHERE, Naming

if TYPE_CHECKING:
    from maskwright.core.classes import Classes

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")

Severity = Literal["error", "warning", "note"]

MaskKind = Literal["index", "color", "instance", "regions", "segment", "values"]
ID_KINDS = frozenset({"instance", "regions"})
"""The kinds of mask files that tell objects, and no classes."""


@dataclass(frozen=True)
class Fault:
    """A fault in the data: what is wrong, in which file, and what to do about it.

    Attributes:
        kind: a short stable name (`unpaired`, `unreadable`, `size-mismatch`, `unknown-label`, `empty-mask`,
            `jpeg-mask`, `near-duplicate`, `class-in-one-split`, ...).
        severity: `error` if the record cannot be used, `warning` if it can be used but the result may suffer, `note` if
            it is only for information.
        path: the file or folder with the fault.
        message: value and rule, in one sentence.
        cure: what to do, in the imperative.
    """

    kind: str
    severity: Severity
    path: Path
    message: str
    cure: str


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

    @property
    def name(self) -> str:
        """The file's name, and the page: `stack.tif, page 3`."""
        return self.path.name if self.page is None else f"{self.path.name}, page {self.page}"

    def __str__(self) -> str:
        return str(self.path) if self.page is None else f"{self.path}, page {self.page}"


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
    """

    file: ImageRef
    kind: MaskKind
    values: tuple[tuple[int, int], ...] | None = None
    white: int | None = IGNORE
    alpha: bool = False
    crowds: tuple[int, ...] = ()
    palette: tuple[tuple[int, tuple[int, int, int]], ...] = ()

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


Between = Literal["any", "classes", "objects", "touching"]
"""Which regions of a mask have edges between them: classes, objects and what is around them, or objects that touch."""


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


@dataclass(frozen=True)
class Record:
    """One image with its annotation, not yet decoded.

    Attributes:
        id: unique and stable in the data set: the path of the image file below the root, in POSIX form, and `#3` for
            page 3 of a stack.
        image: the image file, or one page of it.
        annotation: the truth, or None where there is none (prediction).
        split: the split that the layout, or our own division, assigns to it.
        group: records of one group stay in one split (patient, video, site).
        objects: the ids of the objects, where the annotation tells classes only. An object is of the class that the
            annotation shows under most of it.
    """

    id: str
    image: ImageRef
    annotation: Annotation | None = None
    split: Split | None = None
    group: str | None = None
    objects: MaskFile | None = None

    @property
    def tells_objects(self) -> bool:
        """Whether the objects are known, and not only the class of each pixel."""
        annotation = self.objects or self.annotation
        if isinstance(annotation, MaskFile):
            return self.objects is not None or annotation.kind in ID_KINDS
        return isinstance(annotation, Shapes) or (isinstance(annotation, MaskLayers) and annotation.objects)


@dataclass(frozen=True)
class Dataset:
    """The content of a data set: its records, and how to turn their files into label maps.

    Attributes:
        root: the folder (or file) that the user gave.
        format: name of the format in `data.formats.FORMATS`.
        layout: what was seen, in words, for people (`train/ + trainannot/, index PNG`).
        classes: names and colours, by class index.
        records: one an image, sorted by id.
        value_to_index: value in an index mask -> class index or `IGNORE`; a value that is missing is a fault.
        color_to_index: colour in an RGB mask -> class index or `IGNORE`.
        faults: faults found while reading the layout (unpaired files, unreadable tables).
        white: class index or `IGNORE` of 255 in an index mask that holds no value but 0 and 255; None where nothing
            tells: such a mask is a fault.
        palette: value -> its colour in palette masks, if all show it in the same; a mask that differs is a fault, and
            a mask of these colours is read by it.
        naming: where the names of the classes are written, for cures.
        merged: index in `classes` of each class that the files tell, where several of them became one; None where
            `classes` are those of the files.
        masks: the data as masks, where the classes are edges that follow from them; None for any other data.
    """

    root: Path
    format: str
    layout: str
    classes: Classes
    records: tuple[Record, ...]
    value_to_index: dict[int, int] = field(default_factory=dict)
    color_to_index: dict[tuple[int, int, int], int] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()
    white: int | None = IGNORE
    palette: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    naming: Naming = NOWHERE
    merged: tuple[int, ...] | None = None
    masks: Dataset | None = None

    @property
    def reading(self) -> Reading:
        """How the images are read, which is the same for all of them."""
        return self.records[0].image.reading if self.records else Reading()

    @property
    def measured(self) -> bool:
        """Whether the mask files hold measured numbers and not classes."""
        found = (entry.annotation for entry in self.records)
        return any(isinstance(entry, MaskFile) and entry.kind == "values" for entry in found)

    @property
    def tells_objects(self) -> bool:
        """Whether the objects of any image are known."""
        return any(record.tells_objects for record in self.records)

    def part(self, split: Split) -> tuple[Record, ...]:
        """Return the records of one split."""
        return tuple(record for record in self.records if record.split == split)
