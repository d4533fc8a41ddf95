"""Random data sets whose pixels are known: in the layouts and codings, and with the faults, that people's data has.

`specs()` draws a description, `build` writes it to a folder and returns what every image holds. The counts come from
the label maps before they are encoded, so no reader takes part in them.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import tifffile
from hypothesis import strategies as st
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    Labels = NDArray[np.uint8]

SIZE = (32, 64)
COLORS = ((0, 0, 0), (200, 40, 40), (40, 200, 40), (40, 40, 200), (200, 200, 0))
NAMES = ("ground", "crack", "pot hole", "Größe", "道路")
VOID = 255
FILE_NAMES = ("a", "scan 1", "IMG_0001", "größe", "道路", "x.y", "benign (1)", "slice-01", "0007")


class Sample(NamedTuple):
    """What one image holds: pixels by class name, and ignored ones."""

    pixels: dict[str, int]
    ignored: int


@dataclass
class Truth:
    """What a data set holds.

    Attributes:
        samples: by the path of the image.
        lost: images that cannot be used; a fault must say so.
        doubtful: images whose pixels may be read in more than one way, if a fault says so.
    """

    samples: dict[Path, Sample] = field(default_factory=dict)
    lost: set[Path] = field(default_factory=set)
    doubtful: set[Path] = field(default_factory=set)


@dataclass(frozen=True)
class Spec:
    """A data set to write.

    Attributes:
        layout: a key of `LAYOUTS`.
        codings: a key of `CODINGS` for each image; they agree on what a value means.
        classes: number of them with the background.
        table: a key of `TABLES`, or None.
        outlines: pixels between background and objects are 255.
        faults: keys of `FAULTS`.
        names: a file name for each image.
        seed: of the scenes.
    """

    layout: str
    codings: tuple[str, ...]
    classes: int
    table: str | None
    outlines: bool
    faults: tuple[str, ...]
    names: tuple[str, ...]
    seed: int


def _pillow(mode: str | None = None, **options: object) -> Callable[[Path, Labels], None]:
    def write(path: Path, values: Labels) -> None:
        picture = Image.fromarray(values)
        (picture if mode is None else picture.convert(mode)).save(path, **options)

    return write


def _palette(path: Path, values: Labels) -> None:
    picture = Image.fromarray(values).convert("L")
    picture.putpalette([channel for color in (*COLORS, *[(9, 9, 9)] * 250, (224, 224, 192)) for channel in color])
    picture.save(path)


def _tiff(compression: str | None, photometric: str = "minisblack") -> Callable[[Path, Labels], None]:
    def write(path: Path, values: Labels) -> None:
        stored = 255 - values if photometric == "miniswhite" else values
        tifffile.imwrite(path, stored, compression=compression, photometric=photometric)

    return write


def _pgm(path: Path, values: Labels) -> None:
    highest = max(int(values.max()), 1)
    path.write_bytes(b"P5\n%d %d\n%d\n" % (values.shape[1], values.shape[0], highest) + values.tobytes())


def _plain_pgm(path: Path, values: Labels) -> None:
    rows = "\n".join(" ".join(map(str, row)) for row in values.tolist())
    path.write_text(f"P2\n# made by hand\n{values.shape[1]} {values.shape[0]}\n{max(int(values.max()), 1)}\n{rows}\n")


def _with_alpha(path: Path, values: Labels) -> None:
    Image.merge("LA", (Image.fromarray(values), Image.new("L", values.shape[::-1], 255))).save(path)


def _npy(dtype: str) -> Callable[[Path, Labels], None]:
    return lambda path, values: np.save(path, values.astype(dtype))


def _wide(path: Path, values: Labels) -> None:
    Image.fromarray(values.astype(np.uint16)).save(path)


class Coding(NamedTuple):
    """How label maps become mask files: the family of codings that mean the same, the suffix, and what writes it."""

    family: str
    suffix: str
    write: Callable[[Path, Labels], None]


# "ids": the values are class ids; "white": two classes, 0 and 255; "colors": a colour a class.
CODINGS: dict[str, Coding] = {
    "8-bit": Coding("ids", ".png", _pillow()),
    "palette": Coding("ids", ".png", _palette),
    "16-bit": Coding("ids", ".png", _wide),
    "bmp": Coding("ids", ".bmp", _pillow()),
    "pgm": Coding("ids", ".pgm", _pgm),
    "plain pgm": Coding("ids", ".pgm", _plain_pgm),
    "tiff": Coding("ids", ".tif", _tiff(None)),
    "tiff lzw": Coding("ids", ".tif", _pillow(compression="tiff_lzw")),
    "tiff deflate": Coding("ids", ".tiff", _tiff("zlib")),
    "npy": Coding("ids", ".npy", _npy("uint8")),
    "wide npy": Coding("ids", ".npy", _npy("int64")),
    "black and white": Coding("white", ".png", _pillow()),
    "one bit": Coding("white", ".png", _pillow("1")),
    "grey with alpha": Coding("white", ".png", _with_alpha),
    "grey as rgb": Coding("white", ".png", _pillow("RGB")),
    "gif": Coding("white", ".gif", _pillow()),
    "white is zero": Coding("white", ".tif", _tiff(None, "miniswhite")),
    "white is zero, deflate": Coding("white", ".tif", _tiff("zlib", "miniswhite")),
    "fax": Coding("white", ".tif", _pillow("1", compression="group4")),
    "true": Coding("white", ".npy", lambda path, values: np.save(path, values > 0)),
    "colors": Coding("colors", ".png", _pillow()),
    "colors bmp": Coding("colors", ".bmp", _pillow()),
    "colors tiff": Coding("colors", ".tif", lambda path, values: tifffile.imwrite(path, values, photometric="rgb")),
}


def _csv(names: tuple[str, ...]) -> str:
    return "id,name\n" + "".join(f"{index},{name}\n" for index, name in enumerate(names))


# Name of the file and its text, by the class names.
TABLES: dict[str, tuple[str, Callable[[tuple[str, ...]], str]]] = {
    "names": ("classes.txt", lambda names: "\n".join(names) + "\n"),
    "numbered": ("classes.txt", lambda names: "".join(f"{index},{name}\n" for index, name in enumerate(names))),
    "negative": (
        "classes.txt",
        lambda names: "-1,license plate\n" + "".join(f"{index},{name}\n" for index, name in enumerate(names)),
    ),
    "csv": ("classes.csv", _csv),
    "roboflow": (
        "_classes.csv",
        lambda names: "Pixel Value, Class\n" + "".join(f"{index}, {name}\n" for index, name in enumerate(names)),
    ),
    "labelme": ("labels.txt", lambda names: "__ignore__\n" + "\n".join(names) + "\n"),
    "json": ("classes.json", json.dumps),
    "colored": (
        "classes.csv",
        lambda names: (
            "name,r,g,b\n" + "".join(f"{name},{r},{g},{b}\n" for name, (r, g, b) in zip(names, COLORS, strict=False))
        ),
    ),
}
LAYOUTS: dict[str, tuple[str, str]] = {
    "two folders": ("images/{n}", "masks/{n}"),
    "camvid": ("{s}/{n}", "{s}annot/{n}"),
    "split below": ("images/{s}/{n}", "labels/{s}/{n}"),
    "split above": ("{s}/images/{n}", "{s}/masks/{n}"),
    "beside": ("{n}", "{n}_mask"),
    "suffix": ("img/{n}", "ann/{n}_gt"),
    "voc": ("JPEGImages/{n}", "SegmentationClass/{n}"),
}
IMAGE_SUFFIXES = (".jpg", ".png", ".JPG")


def scene(rng: np.random.Generator, classes: int) -> Labels:
    """Return a label map with a rectangle for each class, side by side, so that none covers another."""
    labels = np.zeros(SIZE, np.uint8)
    for index in range(1, classes):
        height, width = rng.integers(8, SIZE[0] - 4), rng.integers(6, 13)
        top, left = rng.integers(2, SIZE[0] - height - 1), 2 + 15 * (index - 1) + rng.integers(0, 14 - width)
        labels[top : top + height, left : left + width] = index
    return labels


def outlined(labels: Labels) -> Labels:
    """Set the outermost pixels of every object to `VOID`."""
    padded = np.pad(labels, 1)
    inner = np.ones(labels.shape, bool)
    for row, column in ((0, 1), (2, 1), (1, 0), (1, 2)):
        inner &= padded[row : row + labels.shape[0], column : column + labels.shape[1]] == labels
    return np.where(inner | (labels == 0), labels, VOID).astype(np.uint8)


def expected_names(spec: Spec) -> tuple[str, ...]:
    """Return the name that each class must have."""
    family = CODINGS[spec.codings[0]].family
    if spec.table is not None:
        return NAMES[: spec.classes]
    if family == "colors":
        order = sorted(range(spec.classes), key=lambda index: COLORS[index])
        return tuple("background" if index == 0 else f"class-{order.index(index)}" for index in range(spec.classes))
    if spec.classes == 2:
        return ("background", "foreground")
    return tuple(f"class-{index}" for index in range(spec.classes))


def encoded(labels: Labels, family: str) -> Labels:
    """Return the values that stand in a file of this family."""
    if family == "white":
        return np.where(labels == 1, 255, 0).astype(np.uint8)
    if family == "colors":
        return np.array(COLORS, np.uint8)[labels]
    return labels


def build(spec: Spec, root: Path) -> Truth:
    """Write the data set below `root`."""
    rng, truth, names = np.random.default_rng(spec.seed), Truth(), expected_names(spec)
    image_form, mask_form = LAYOUTS[spec.layout]
    written: list[tuple[Path, Path, Labels, Coding]] = []
    for place, (name, key) in enumerate(zip(spec.names, spec.codings, strict=True)):
        coding, split = CODINGS[key], "val" if place == len(spec.names) - 1 else "train"
        labels = scene(rng, spec.classes)
        labels = outlined(labels) if spec.outlines else labels
        image = root / (image_form.format(n=name, s=split) + IMAGE_SUFFIXES[spec.seed % len(IMAGE_SUFFIXES)])
        mask = root / (mask_form.format(n=name, s=split) + coding.suffix)
        for path in (image, mask):
            path.parent.mkdir(parents=True, exist_ok=True)
        noise = rng.normal(0, 9, (*SIZE, 3))
        Image.fromarray(
            np.clip(np.array(COLORS, np.float64)[labels % VOID] + 40 + noise, 0, 255).astype(np.uint8)
        ).save(image)
        coding.write(mask, encoded(labels, coding.family))
        counts = {own: int((labels == index).sum()) for index, own in enumerate(names)}
        truth.samples[image] = Sample(counts, int((labels == VOID).sum()))
        written.append((image, mask, labels, coding))
    if spec.layout == "voc":
        lists = root / "ImageSets" / "Segmentation"
        lists.mkdir(parents=True)
        (lists / "train.txt").write_text("".join(f"{name}\n" for name in spec.names), encoding="utf-8")
    if spec.table is not None:
        file, text = TABLES[spec.table]
        (root / file).write_text(text(names), encoding="utf-8")
    for place, fault in enumerate(spec.faults):
        FAULTS[fault](*written[place], truth)
    return truth


def _no_mask(image: Path, mask: Path, _labels: Labels, _coding: Coding, truth: Truth) -> None:
    mask.unlink()
    truth.lost.add(image)


def _cut_mask(image: Path, mask: Path, _labels: Labels, _coding: Coding, truth: Truth) -> None:
    content = mask.read_bytes()
    mask.write_bytes(content[: len(content) // 2])
    truth.lost.add(image)


def _other_size(image: Path, mask: Path, labels: Labels, coding: Coding, truth: Truth) -> None:
    coding.write(mask, encoded(labels[:, ::2].copy(), coding.family))
    truth.lost.add(image)


def _strange_pixels(image: Path, mask: Path, labels: Labels, coding: Coding, truth: Truth) -> None:
    values = encoded(labels, coding.family).copy()
    values[5:20, :2] = 77
    coding.write(mask, values)
    truth.doubtful.add(image)


def _junk(image: Path, mask: Path, _labels: Labels, _coding: Coding, _truth: Truth) -> None:
    apple_double = struct.pack(">II16s", 0x00051607, 0x00020000, b"Mac OS X        ") + b"\0" * 64
    for path in (image, mask):
        (path.parent / f"._{path.name}").write_bytes(apple_double)
        (path.parent / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0")
        thumbnails = path.parent / "@eaDir" / path.name
        thumbnails.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 8)).save(thumbnails / "SYNOPHOTO_THUMB_M.jpg")


def _tail(image: Path, _mask: Path, _labels: Labels, _coding: Coding, _truth: Truth) -> None:
    with image.open("ab") as file:
        file.write(b"ftypmp42\xff\xda\x00\x01\xff\xd9" + bytes(64))


FAULTS: dict[str, Callable[[Path, Path, Labels, Coding, Truth], None]] = {
    "no mask": _no_mask,
    "cut mask": _cut_mask,
    "other size": _other_size,
    "strange pixels": _strange_pixels,
    "junk": _junk,
    "bytes behind the image": _tail,
}
HARMLESS = frozenset({"junk", "bytes behind the image"})


@st.composite
def specs(draw: st.DrawFn) -> Spec:
    """Draw a data set; what it leaves out would have no single right reading."""
    layout = draw(st.sampled_from(sorted(LAYOUTS)))
    images = draw(st.integers(4, 6))
    families = ("ids", "white", "mixed", "colors")
    family = "ids" if layout == "voc" else draw(st.sampled_from(families))
    classes = draw(st.integers(2, len(COLORS))) if family in {"ids", "colors"} else 2
    allowed = [key for key, coding in CODINGS.items() if coding.family == family or family == "mixed" != coding.family]
    if family == "mixed":  # a GIF has a palette, and palettes of other colours contradict each other
        allowed = [key for key in allowed if CODINGS[key].family in {"ids", "white"} and key != "gif"]
    if layout == "voc":
        allowed = [key for key in allowed if CODINGS[key].suffix == ".png"]
    codings = tuple(draw(st.sampled_from(sorted(allowed))) for _ in range(images))
    named = layout == "voc" or draw(st.booleans())
    tables = ["colored"] if family == "colors" else sorted(set(TABLES) - {"colored"})
    if family in {"white", "mixed"}:  # there LabelMe's __ignore__ is 255, and a mask of 0 and 255 holds no object
        tables.remove("labelme")
    outlines = family == "ids" and classes > 2 and draw(st.booleans())
    faults = draw(st.lists(st.sampled_from(sorted(FAULTS)), max_size=2, unique=True))
    if family != "ids" or not named or outlines:
        faults = [fault for fault in faults if fault != "strange pixels"]
    names = draw(st.lists(st.sampled_from(FILE_NAMES), min_size=images, max_size=images, unique=True))
    table = draw(st.sampled_from(tables)) if named else None
    return Spec(layout, codings, classes, table, outlines, tuple(faults), tuple(names), draw(st.integers(0, 1 << 16)))
