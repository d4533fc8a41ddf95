"""What the JSON files of a Zarr store say: its images (OME-NGFF 0.1 to 0.5, or a plain array). Decodes no pixel.

https://ngff.openmicroscopy.org and https://zarr-specs.readthedocs.io, versions 2 and 3. Nothing here needs a package.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

from maskwright.core.records import ImageRef
from maskwright.data.readers.arrays import channel_axis
from maskwright.data.readers.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import Iterator

SUFFIX = ".zarr"
MARKERS = ("zarr.json", ".zgroup", ".zarray")
METADATA = frozenset({*MARKERS, ".zattrs", ".zmetadata"})
_LARGEST_JSON, _MOST_PAGES = 1 << 26, 1 << 17
_LONGEST_NAME, _LONGEST_PATH = 255, 1024
"""Of a part of a store: bytes that a file system takes, and letters."""
_OLD_AXES = "tczyx"
_TYPES = {"channel": "c", "time": "t"}
_ERRORS = (AttributeError, TypeError, ValueError, KeyError, IndexError, OverflowError, RecursionError, OSError)
COPY_AGAIN = "copy the whole folder again from its source, or remove it"


class Node(NamedTuple):
    """A group or an array.

    Attributes:
        folder: of it.
        metadata: of an array; empty for a group.
        attributes: of the user.
    """

    folder: Path
    metadata: dict[str, Any]
    attributes: dict[str, Any]

    @property
    def ome(self) -> dict[str, Any]:
        """The attributes of OME-NGFF, which version 0.5 keeps under a name of their own."""
        own = self.attributes.get("ome")
        return own if isinstance(own, dict) else self.attributes


class Layout(NamedTuple):
    """An image in a store.

    Attributes:
        levels: the arrays of its pyramid, the largest first; one for a plain array.
        axes: of each array, out of `tczyx`.
        scales: of each level, the length of a step along each axis; empty where nobody says.
        units: of each axis, as OME-NGFF names them; None where nobody says.
    """

    levels: tuple[Node, ...]
    axes: str
    scales: tuple[tuple[float, ...], ...] = ()
    units: tuple[str | None, ...] = ()

    def shape(self, level: int = 0) -> tuple[int, ...]:
        """Return the lengths of the axes."""
        return tuple(self.levels[level].metadata["shape"])

    def size(self, level: int = 0) -> tuple[int, int]:
        """Return height and width."""
        shape = self.shape(level)
        return shape[self.axes.index("y")], shape[self.axes.index("x")]

    @property
    def pages(self) -> tuple[int, ...]:
        """The lengths of the axes of times and slices; their product is the number of pages."""
        return tuple(length for axis, length in zip(self.axes, self.shape(), strict=True) if axis in "tz")


def is_store(path: Path) -> bool:
    """Tell whether a path is the folder of a Zarr store, or of a group or an array in one."""
    marked = (os.path.isfile(path / name) for name in MARKERS)  # noqa: PTH113 (False where nothing may be read)
    return path.is_dir() and (path.suffix.lower() == SUFFIX or any(marked))


def images_in(path: Path, broken: list[DecodeError]) -> list[PurePosixPath]:
    """Return the paths of the images below a store; `.` if it is one image itself.

    A plate holds an image a field of each well, and a file that bioformats2raw converted holds its series. `broken`
    gets the errors: of a store that is damaged, or says that it holds images elsewhere, or of single wells.
    """
    ref, found = ImageRef(path), list[PurePosixPath]()
    with _collected(broken), _known_form(ref):
        node = node_of(ref, path)
        if "plate" not in node.ome or _is_image(node):
            return list(_images(ref, node))
        for entry in _listed(ref, node.ome["plate"], "wells"):
            with _collected(broken), _known_form(ref):
                well = _below(ref, entry.get("path"))
                found += [well / field for field in _images(ref, node_of(ref, path / well))]
    return found


@contextlib.contextmanager
def _collected(broken: list[DecodeError]) -> Iterator[None]:
    try:
        yield
    except DecodeError as error:
        broken.append(error)


@contextlib.contextmanager
def _known_form(ref: ImageRef) -> Iterator[None]:
    """Raise a DecodeError that the metadata have no known form, where they were not understood."""
    try:
        yield
    except _ERRORS as error:
        message = f"holds metadata of no known form ({type(error).__name__}: {error})"
        raise DecodeError("unreadable", ref, message, COPY_AGAIN) from None


def _is_image(node: Node) -> bool:
    return "multiscales" in node.ome or bool(node.metadata)


def _images(ref: ImageRef, node: Node) -> Iterator[PurePosixPath]:
    """Return the images of a group that is no plate."""
    ome, here = node.ome, PurePosixPath()
    if _is_image(node):
        yield here
    elif "well" in ome:
        for entry in _listed(ref, ome["well"], "images"):
            yield _below(ref, entry.get("path"))
    elif "bioformats2raw.layout" in ome:
        yield from _series(ref, node.folder)
    else:
        yield here  # no image: `layout_of` says so


def _series(ref: ImageRef, folder: Path) -> Iterator[PurePosixPath]:
    """Return the series that the group OME lists, or else 0, 1, 2, ..., as far as they go."""
    if (folder / "OME").is_dir():
        listed = node_of(ref, folder / "OME").ome.get("series")
        if isinstance(listed, list) and listed:
            yield from (_below(ref, name) for name in listed)
            return
    number = 0
    while (folder / str(number)).is_dir():
        yield PurePosixPath(str(number))
        number += 1
    if not number:
        message = "is a collection of bioformats2raw without any image"
        raise DecodeError("unreadable", ref, message, COPY_AGAIN)


def layout_of(ref: ImageRef) -> Layout:
    """Return how the image at a path is stored.

    Raises:
        DecodeError: there is none, or what it says of itself is no image.
    """
    with _known_form(ref):
        node = node_of(ref, ref.path)
        found = _plain(ref, node) if node.metadata else _multiscales(ref, node)
    if math.prod(found.pages) > _MOST_PAGES:
        message = f"claims to hold {math.prod(found.pages):,} pages, but at most {_MOST_PAGES:,} are read"
        raise DecodeError("bomb", ref, message, "cut it into parts, or remove it if it is not one of your images")
    return found


def node_of(ref: ImageRef, folder: Path) -> Node:
    """Read the metadata of a group or an array.

    Raises:
        DecodeError: there is none, or it is damaged.
    """
    if (folder / "zarr.json").is_file():
        metadata = _json(ref, folder / "zarr.json")
        attributes = metadata.get("attributes", {})
        metadata = metadata if metadata.get("node_type") == "array" else {}
    elif any((folder / name).is_file() for name in (".zarray", ".zgroup", ".zattrs")):
        metadata, attributes = (_json(ref, folder / name) for name in (".zarray", ".zattrs"))
    else:
        where = "" if folder == ref.path else f" in {folder.relative_to(ref.path).as_posix()}"
        message = f"has no Zarr metadata{where} (zarr.json, .zgroup or .zarray)"
        raise DecodeError("unreadable", ref, message, COPY_AGAIN)
    if not isinstance(attributes, dict):
        raise DecodeError("unreadable", ref, "has attributes that are no JSON object", COPY_AGAIN)
    return Node(folder, metadata, attributes)


def _plain(ref: ImageRef, node: Node) -> Layout:
    """Return an array without OME-NGFF: its axes have names, or follow from its shape."""
    shape = _shape(ref, node)
    names = node.metadata.get("dimension_names") or node.attributes.get("_ARRAY_DIMENSIONS") or []
    axes = "".join(str(name).lower() for name in names)
    if len(axes) == len(shape) and _are_axes(axes):
        return Layout((node,), axes)
    if len(shape) == 2:
        return Layout((node,), "yx")
    axis = channel_axis(shape) if len(shape) == 3 else None
    if axis is None:
        message = f"is an array of shape {'x'.join(map(str, shape))} whose axes have no names"
        cure = "name them (dimension_names of Zarr 3: t, c, z, y, x), or save it as OME-NGFF"
        raise DecodeError("unreadable", ref, message, cure)
    return Layout((node,), "cyx" if axis == 0 else "yxc")


def _multiscales(ref: ImageRef, node: Node) -> Layout:
    listed = node.ome.get("multiscales")
    if not isinstance(listed, list) or not listed:
        inside = sorted(path.name for path in node.folder.iterdir() if is_store(path))
        found = f", but {', '.join(inside[:5])}" if inside else ""
        message = f"is a Zarr group without an image (multiscales of OME-NGFF){found}"
        example = f"name an array in it, such as {node.folder / inside[0]}" if inside else COPY_AGAIN
        raise DecodeError("unreadable", ref, message, example)
    image = listed[0]  # the specification: a reader that knows no better takes the first
    entries = image.get("axes", list(_OLD_AXES))
    axes = "".join(_axis(entry) for entry in entries)
    datasets = image["datasets"]
    levels = tuple(node_of(ref, node.folder / _below(ref, entry["path"])) for entry in datasets)
    if not _are_axes(axes) or not levels or any(len(_shape(ref, level)) != len(axes) for level in levels):
        message = f"has the axes {axes or 'none'}, and an image has y, x and at most t, c, z, as many as its arrays"
        raise DecodeError("unreadable", ref, message, "save it again as OME-NGFF 0.4 or 0.5")
    whole = _scale(image, len(axes))
    scales = tuple(
        tuple(one * other for one, other in zip(whole, _scale(entry, len(axes)), strict=True)) for entry in datasets
    )
    units = tuple(entry.get("unit") if isinstance(entry, dict) else None for entry in entries)
    return Layout(levels, axes, scales, units)


def _axis(entry: Any) -> str:
    """Return the letter of an axis; `?` where it is none of ours."""
    name = entry if isinstance(entry, str) else _TYPES.get(entry.get("type"), entry["name"])
    name = name.lower()
    return name if len(name) == 1 else "?"


def _are_axes(axes: str) -> bool:
    return set("yx") <= set(axes) <= set(_OLD_AXES) and len(set(axes)) == len(axes)


def _scale(entry: dict[str, Any], count: int) -> tuple[float, ...]:
    """Return the scale in the transformations of an entry, one for each axis."""
    for step in entry.get("coordinateTransformations", []):
        if step["type"] == "scale" and "scale" in step:
            values = tuple(float(value) for value in step["scale"])
            if len(values) == count:
                return values
    return (1.0,) * count


def _shape(ref: ImageRef, node: Node) -> tuple[int, ...]:
    shape = node.metadata.get("shape")
    if not isinstance(shape, list) or not all(type(length) is int and length >= 0 for length in shape):
        message = f"has an array without a shape: {json.dumps(shape)[:60]}"
        raise DecodeError("unreadable", ref, message, COPY_AGAIN)
    return tuple(shape)


def _listed(ref: ImageRef, entry: Any, key: str) -> list[dict[str, Any]]:
    found = entry.get(key) if isinstance(entry, dict) else None
    if not isinstance(found, list) or not found or not all(isinstance(each, dict) for each in found):
        raise DecodeError("unreadable", ref, f"is a collection that lists no {key}", COPY_AGAIN)
    return found


def _below(ref: ImageRef, name: Any) -> PurePosixPath:
    """Return a path that lies below the store, and not the store itself."""
    path = PurePosixPath(name) if isinstance(name, str) else PurePosixPath()
    long = len(str(path)) > _LONGEST_PATH or any(len(part.encode()) > _LONGEST_NAME for part in path.parts)
    if long or not path.parts or path.is_absolute() or ".." in path.parts or "\0" in str(path):
        message = f"names {json.dumps(name)[:60]} as a part of itself, which is no path below it"
        raise DecodeError("unreadable", ref, message, "remove it, or write the store again")
    return path


def _json(ref: ImageRef, file: Path) -> dict[str, Any]:
    """Return a JSON object; an empty one without the file."""
    try:
        if file.stat().st_size > _LARGEST_JSON:
            message = f"has metadata of {file.stat().st_size / 2**20:,.0f} MiB in {file.name}"
            raise DecodeError("bomb", ref, message, "remove it, or write the store again")
        found = json.loads(file.read_bytes())
    except FileNotFoundError:
        return {}
    except OSError as error:
        message = f"has a file {file.name} that cannot be opened ({error.strerror})"
        raise DecodeError("unreadable", ref, message, "check its permissions") from None
    except (ValueError, RecursionError) as error:
        message = f"has a file {file.name} that is no JSON ({error})"
        raise DecodeError("unreadable", ref, message, COPY_AGAIN) from None
    if not isinstance(found, dict):
        raise DecodeError("unreadable", ref, f"has a file {file.name} that is no JSON object", COPY_AGAIN)
    return found
