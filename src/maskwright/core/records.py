"""Records: one image with its annotation, its split and its group, not yet decoded; and the faults found while reading.

Nothing here opens a file. `data.formats` makes records, `data.readers` decodes them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from maskwright.core.annotations import (
    ID_KINDS,
    Annotation,
    EdgeFiles,
    ImageRef,
    MaskEdges,
    MaskFile,
    MaskKind,
    MaskLayer,
    MaskLayers,
    Reading,
    Shape,
    Shapes,
)
from maskwright.core.classes import IGNORE
from maskwright.core.naming import NOWHERE, Naming

if TYPE_CHECKING:
    from pathlib import Path

    from maskwright.core.classes import Classes

__all__ = [
    "ID_KINDS",
    "SPLITS",
    "Annotation",
    "Dataset",
    "EdgeFiles",
    "Fault",
    "ImageRef",
    "MaskEdges",
    "MaskFile",
    "MaskKind",
    "MaskLayer",
    "MaskLayers",
    "Reading",
    "Record",
    "Severity",
    "Shape",
    "Shapes",
    "Split",
]

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")

Severity = Literal["error", "warning", "note"]


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
        ground: index of the background among the classes that the files tell, where they were merged; None for none.
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
    ground: int | None = None
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
