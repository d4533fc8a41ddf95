"""Records: one image with its annotation, its split and its group, not yet decoded; and the faults found on the way.

Nothing here opens a file. `data.formats` makes records, `data.readers` decodes them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

if TYPE_CHECKING:
    from maskwright.core.classes import Classes

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Fault:
    """Something wrong with the data: what it is, in which file, and what to do about it.

    Attributes:
        kind: a short stable name (`unpaired`, `unreadable`, `size-mismatch`, `unknown-label`, `empty-mask`,
            `jpeg-mask`, `near-duplicate`, `class-in-one-split`, ...).
        severity: `error` when this record cannot be used, `warning` when it can but the result may suffer,
            `note` when one should merely know.
        path: the file, or the folder, at fault.
        message: value and rule, in one sentence.
        cure: what to do, in the imperative.
    """

    kind: str
    severity: Severity
    path: Path
    message: str
    cure: str


@dataclass(frozen=True)
class ImageRef:
    """Where one image is: a file, or one page of a file that holds a stack of images.

    Attributes:
        path: the file.
        page: number of the page, counted from 0; None for a file that is read as one image.
    """

    path: Path
    page: int | None = None

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
    """An annotation that is a picture: one value, or one colour, a pixel.

    Attributes:
        file: the mask file, or one page of it.
        kind: `index` (value -> class by `Dataset.value_to_index`), `color` (RGB -> class by
            `Dataset.color_to_index`), `instance` (0 is background, every other value one object of class 1), `values`
            (measured numbers, NaN where unknown).
    """

    file: ImageRef
    kind: Literal["index", "color", "instance", "values"]

    @property
    def path(self) -> Path:
        """The mask file."""
        return self.file.path


@dataclass(frozen=True)
class Shape:
    """One annotated object: polygons or a run-length code, in pixels of the image.

    Attributes:
        index: class index, or `IGNORE` for a region to leave out (a crowd).
        polygons: closed rings [x0, y0, x1, y1, ...]; several rings are several parts of one object.
        rle: COCO run-length code {"size": [h, w], "counts": bytes | list[int]}, instead of polygons.
        holes: the rings cut out of each polygon, in the order of `polygons`; empty if none has a hole.
    """

    index: int
    polygons: tuple[tuple[float, ...], ...] = ()
    rle: dict[str, object] | None = None
    holes: tuple[tuple[tuple[float, ...], ...], ...] = ()


@dataclass(frozen=True)
class Shapes:
    """An annotation that is a list of objects; the mask is painted when it is asked for.

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


Annotation = MaskFile | Shapes


@dataclass(frozen=True)
class Record:
    """One image with its annotation, not yet decoded.

    Attributes:
        id: unique and stable in the data set: the path of the image file below the root, in POSIX form, and `#3` for
            page 3 of a stack.
        image: the image file, or one page of it.
        annotation: the truth, or None where there is none (prediction).
        split: where the layout, or the split made by us, puts it.
        group: what must not be torn apart by a split (patient, video, site).
    """

    id: str
    image: ImageRef
    annotation: Annotation | None = None
    split: Split | None = None
    group: str | None = None


@dataclass(frozen=True)
class Dataset:
    """What a layout holds: the records and how to turn their files into label maps.

    Attributes:
        root: the folder (or file) the user pointed at.
        format: name of the format in `data.formats.FORMATS`.
        layout: what was seen, in words, for people (`train/ + trainannot/, index PNG`).
        classes: names and colours, by class index.
        records: one an image, sorted by id.
        value_to_index: value in an index mask -> class index or `IGNORE`; a value that is missing is a fault.
        color_to_index: colour in an RGB mask -> class index or `IGNORE`.
        faults: what was already wrong while reading the layout (unpaired files, unreadable tables).
    """

    root: Path
    format: str
    layout: str
    classes: Classes
    records: tuple[Record, ...]
    value_to_index: dict[int, int] = field(default_factory=dict)
    color_to_index: dict[tuple[int, int, int], int] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()

    @property
    def measured(self) -> bool:
        """Whether the mask files hold measured numbers and not classes."""
        found = (entry.annotation for entry in self.records)
        return any(isinstance(entry, MaskFile) and entry.kind == "values" for entry in found)

    def part(self, split: Split) -> tuple[Record, ...]:
        """Return the records of one split."""
        return tuple(record for record in self.records if record.split == split)
