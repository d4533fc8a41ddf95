"""CVAT for images: XML files with polygons, boxes, ellipses and brush masks of many images. Paints nothing.

Shapes are painted by `z_order`, then in the order of the file, as CVAT shows them.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from maskwright.core.documents import parsed_xml
from maskwright.core.errors import MaskwrightError
from maskwright.core.text import listing
from maskwright.data.formats.outlines.annotation_files import DAMAGE, few, holds, masks_pair, unreadable
from maskwright.data.formats.outlines.bitmaps import from_runs, pasted
from maskwright.data.formats.outlines.checked import number, reason, whole
from maskwright.data.formats.outlines.drawn import class_list, drawn_dataset
from maskwright.data.formats.outlines.located import Images, Search, split_of
from maskwright.data.formats.outlines.shapes import Drawing, DrawnImage, box_around, box_ring, ellipse, outlined, turned
from maskwright.data.formats.pairing.naming import split_word
from maskwright.data.formats.walk import record_id
from maskwright.data.readers import image_size

if TYPE_CHECKING:
    from pathlib import Path
    from xml.etree import ElementTree

    from maskwright.core.read_options import ReadOptions
    from maskwright.core.records import Dataset, Fault

_LINES = {"polyline", "points", "cuboid", "skeleton"}
_SHAPES = {"polygon", "box", "ellipse", "mask", *_LINES}


class _File(NamedTuple):
    """One XML file: its labels, and its images as elements."""

    path: Path
    labels: list[str]
    images: list[ElementTree.Element]


def detect(root: Path) -> str | None:
    """Find XML files of CVAT, unless the images have masks."""
    paths = _xml_files(root)
    if not paths or masks_pair(root, 1):
        return None
    return listing([path.name for path in paths])


def read(root: Path, options: ReadOptions) -> Dataset:
    """Read CVAT's annotations: background and the labels of the project.

    Raises:
        MaskwrightError: there is no XML file of CVAT, or none of the images is usable.
    """
    paths = _xml_files(root)
    if not paths:
        raise MaskwrightError(f"{root} holds no XML file of CVAT: export the annotations as CVAT for images 1.1")
    search = Search(Images(root if root.is_dir() else root.parent))
    files: list[_File] = []
    drawn: list[DrawnImage] = []
    faults: list[Fault] = []
    for path in paths:
        try:
            files.append(_load(path))
        except MaskwrightError as error:
            faults.append(unreadable(path, error))
    for path, element in [(file.path, element) for file in files for element in file.images]:
        try:
            entry = _drawn(search, path, element)
            drawn += [entry] if entry else []
        except MaskwrightError as error:
            faults.append(unreadable(path, error))
    if not drawn:
        raise search.nothing_found(root, faults)
    labels = [label for file in files for label in file.labels]
    listed = class_list(drawn, options, labels, search.images.base)
    layout = ", ".join(record_id(search.images.base, path) for path in paths)
    return drawn_dataset(root, ("cvat", layout), drawn, options, listed, [*faults, *search.faults("no XML file lists")])


def _xml_files(root: Path) -> list[Path]:
    paths = few(root, ".xml") if root.is_dir() else [root] if root.suffix.lower() == ".xml" else []
    return [path for path in paths if holds(path, ("<annotations", "<meta"))]


def _load(path: Path) -> _File:
    """Parse one file.

    Raises:
        MaskwrightError: it is not XML, or annotates a video.
    """
    tree = parsed_xml(path)
    if tree.find("track") is not None:
        raise MaskwrightError(f"{path} annotates a video in tracks: export it as CVAT for images 1.1, with its frames")
    labels = [element.text or "" for element in tree.iterfind("meta//labels/label/name")]
    return _File(path, labels, tree.findall("image"))


def _drawn(search: Search, path: Path, element: ElementTree.Element) -> DrawnImage | None:
    """Read one image; None if its file is not there.

    Raises:
        MaskwrightError: a number is missing or damaged.
    """
    name = element.get("name", "")
    subset = split_word(element.get("subset") or "")
    try:
        told = _size(element)
        image = search.one(search.images.named(name, path, subset, told), path, name)
        size = told or (image_size(image) if image is not None else (0, 0))
        layers: defaultdict[int, list[Drawing]] = defaultdict(list)
        for shape in element:
            if shape.tag in _SHAPES:
                layers[whole(shape.get("z_order") or 0, "z_order")].append(_object(shape, size))
    except DAMAGE as error:
        raise MaskwrightError(f"{path} holds a damaged shape of {name} ({reason(error)}): export it again") from None
    if image is None:
        return None
    objects = [shape for _, shapes in sorted(layers.items()) for shape in shapes]
    return DrawnImage(image, path, objects, told, subset or split_of(search.images.base, image))


def _size(element: ElementTree.Element) -> tuple[int, int] | None:
    height, width = element.get("height"), element.get("width")
    return (whole(height, "height"), whole(width, "width")) if height and width else None


def _object(element: ElementTree.Element, size: tuple[int, int]) -> Drawing:
    label, kind, group = element.get("label") or None, element.tag, element.get("group_id")
    angle = number(element.get("rotation") or 0, "rotation")
    if kind == "mask":
        top, left, height, width = _numbers(element, "top", "left", "height", "width")
        runs = [int(run) for run in element.attrib["rle"].split(",")]
        return pasted(label, from_runs(runs, (int(height), int(width))), (int(top), int(left)), size)
    if kind == "box":
        left, top, right, bottom = _numbers(element, "xtl", "ytl", "xbr", "ybr")
        middle = ((left + right) / 2, (top + bottom) / 2)
        ring = turned(box_ring((left, top, right, bottom)), middle, angle)
        return outlined(label, [[ring]], group, middle * 2 if angle else None)
    if kind == "ellipse":
        x, y, across, down = _numbers(element, "cx", "cy", "rx", "ry")
        return outlined(label, [[ellipse((x, y), (across, down), angle)]], group, (x, y, x, y))
    if kind in _LINES:
        corners = [value for part in element.iter() for value in (*_points(part), *_cuboid(part))]
        return Drawing(label, box=box_around(corners), kind="line")
    return outlined(label, [[_points(element)]], group)


def _points(element: ElementTree.Element) -> list[float]:
    pairs = [point for point in element.get("points", "").split(";") if point]
    return [number(value, "a coordinate in points") for point in pairs for value in point.split(",")]


def _cuboid(element: ElementTree.Element) -> list[float]:
    """Return the corners of a cuboid, which are attributes such as xtl1 and ytl1."""
    names = [name[1:] for name in element.attrib if name.startswith("x")]
    return [float(element.attrib[axis + name]) for name in names for axis in "xy"]


def _numbers(element: ElementTree.Element, *names: str) -> list[float]:
    return [number(element.attrib[name], name) for name in names]
