"""LabelMe: a JSON file an image, with polygons, rectangles, circles and masks. Paints nothing.

Shapes are painted in the order of the file, as LabelMe does. LabelMe turns photographs upright before it shows them.
"""

from __future__ import annotations

import base64
import binascii
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskwright.core.documents import parsed_json
from maskwright.core.errors import MaskwrightError
from maskwright.core.records import Fault
from maskwright.core.text import agree, plural, such_as
from maskwright.data.formats.outlines.annotation_files import DAMAGE, below, masks_pair, some, unreadable
from maskwright.data.formats.outlines.bitmaps import from_picture, pasted
from maskwright.data.formats.outlines.checked import flat, reason, whole
from maskwright.data.formats.outlines.drawn import class_list, drawn_dataset
from maskwright.data.formats.outlines.located import Images, Search, plain, split_of
from maskwright.data.formats.outlines.shapes import Drawing, DrawnImage, box_around, box_ring, ellipse, outlined
from maskwright.data.readers import image_size

if TYPE_CHECKING:
    from maskwright.core.read_options import ReadOptions
    from maskwright.core.records import Dataset

_MARKS = ('"shapes"', '"imagePath"')
_POLYGONS = {"polygon", "rotation", "oriented_rectangle", "quadrilateral"}
_LINES = {"line", "linestrip", "point", "points"}
_MISSING = "add them beside the JSON files (labelme_export_json takes a picture out of imageData)"


def files_of(root: Path) -> list[Path]:
    """Return the JSON files below a folder, if some of them are LabelMe's."""
    files = below(root, ".json")
    return files if some(files, _MARKS) else []


def detect(root: Path) -> str | None:
    """Find JSON files of LabelMe, unless as many images have masks, which may have been made of them."""
    files = files_of(root)
    return None if masks_pair(root, len(files)) or not files else plural(len(files), "JSON file")


def read(root: Path, options: ReadOptions) -> Dataset:
    """Read LabelMe's files: background and the labels.

    Raises:
        MaskwrightError: there is no file of LabelMe, or none has an image.
    """
    files = below(root, ".json")
    search = Search(Images(root if root.is_dir() else root.parent), _MISSING)
    drawn: list[DrawnImage] = []
    faults: list[Fault] = []
    others: list[Path] = []
    for path in files:
        try:
            document = parsed_json(path)
            if not isinstance(document, dict) or not isinstance(document.get("shapes"), list):
                others.append(path)
                continue
            image = search.one(_images(search.images, path, document), path, _name(document) or "the image")
            if image is not None:
                drawn.append(_drawn(image, path, document, search.images.base))
        except MaskwrightError as error:
            search.skip(search.images.like(path))
            faults.append(unreadable(path, error))
    if not drawn:
        raise search.nothing_found(root, faults)
    if others:
        hold, are = agree(len(others), "holds", "hold"), agree(len(others), "is", "are")
        message = (
            f"{plural(len(others), 'JSON file')}, {such_as(len(others), others[0].name)}, {hold} no shapes and {are} "
            "not read"
        )
        faults.append(Fault("unused", "note", others[0], message, "move them away"))
    layout = f"{plural(len(files) - len(others), 'JSON file')} of LabelMe"
    listed = class_list(drawn, options, (), search.images.base)
    return drawn_dataset(
        root, ("labelme", layout), drawn, options, listed, [*faults, *search.faults("no JSON file names")]
    )


def _name(document: dict[str, Any]) -> str:
    return plain(str(document.get("imagePath") or "")).rpartition("/")[2]


def _images(images: Images, path: Path, document: dict[str, Any]) -> list[Path]:
    """Find the image by its path if it is there, otherwise by the name of the JSON file, or by its own name.

    Raises:
        MaskwrightError: another image has the name of the JSON file and lies beside it.
    """
    name = plain(str(document.get("imagePath") or ""))
    split = split_of(images.base, path)
    like = images.like(path, split)
    there = Path(os.path.normpath(path.parent / name)) if name else path
    if not name or not there.is_file():
        return like or (images.named(name, path, split) if name else [])
    beside = [image for image in like if image.parent == path.parent]
    if beside and there not in like:
        raise MaskwrightError(
            f"{path} names the image {name}, but {beside[0].name} beside it has its own name: "
            "correct imagePath, or rename the JSON file"
        )
    return [there]


def _drawn(image: Path, path: Path, document: dict[str, Any], base: Path) -> DrawnImage:
    """Read the shapes of one file.

    Raises:
        MaskwrightError: a shape is damaged, or the image cannot be read.
    """
    height, width = document.get("imageHeight"), document.get("imageWidth")
    try:
        told = (whole(height, "imageHeight"), whole(width, "imageWidth")) if height and width else None
        size = told or image_size(image)
        objects = [_object(shape, size) for shape in document["shapes"]]
    except DAMAGE as error:
        raise MaskwrightError(f"{path} holds a damaged shape ({reason(error)}): draw it again in LabelMe") from None
    return DrawnImage(image, path, objects, told, split_of(base, image))


def _object(shape: dict[str, Any], size: tuple[int, int]) -> Drawing:
    label = str(shape.get("label") or "").strip() or None
    kind = shape.get("shape_type") or "polygon"
    points = flat(shape["points"], "points")
    box = box_around(points)
    if kind == "mask":
        return _mask(label, shape, points, size)
    if kind in _LINES:
        return Drawing(label, box=box, kind="line")
    if kind in {"circle", "rectangle"} and len(points) < 4:
        return Drawing(label, box=box)
    if kind == "circle" and len(points) == 4:
        radius = math.dist(points[:2], points[2:])
        points = list(ellipse((points[0], points[1]), (radius, radius)))
    elif kind == "rectangle" and len(points) == 4 and box is not None:
        points = list(box_ring(box))
    elif kind not in {*_POLYGONS, "rectangle"}:
        return Drawing(label, box=box, kind="unknown")
    return outlined(label, [[points]], shape.get("group_id"), box if kind == "circle" else None)


def _mask(label: str | None, shape: dict[str, Any], points: list[float], size: tuple[int, int]) -> Drawing:
    """Read a mask: a PNG, whose upper left pixel is the first point."""
    try:
        content = base64.b64decode(shape["mask"] or "", validate=True)
    except binascii.Error as error:
        raise ValueError(error) from None
    return pasted(label, from_picture(content), (int(points[1]), int(points[0])), size)
