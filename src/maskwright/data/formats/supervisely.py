"""Supervisely: img/NAME.jpg with ann/NAME.jpg.json in each dataset, and meta.json of the project. Paints nothing.

Shapes are painted in the order of the file, as Supervisely shows them.
"""

from __future__ import annotations

import base64
import zlib
from typing import TYPE_CHECKING, Any

from maskwright.core.documents import parsed_json
from maskwright.core.errors import MaskwrightError
from maskwright.core.text import plural
from maskwright.data.formats.outlines.annotation_files import DAMAGE, below, masks_pair, some, unreadable
from maskwright.data.formats.outlines.bitmaps import filled, from_picture, pasted
from maskwright.data.formats.outlines.checked import reason
from maskwright.data.formats.outlines.drawn import class_list, drawn_dataset
from maskwright.data.formats.outlines.located import Images, Search, split_of
from maskwright.data.formats.outlines.shapes import Drawing, DrawnImage, box_around, box_ring, outlined
from maskwright.data.formats.walk import record_id

if TYPE_CHECKING:
    from pathlib import Path

    from maskwright.core.read_options import ReadOptions
    from maskwright.core.records import Dataset, Fault, Split

_MARKS = ('"objects"', '"size"')
_LINES = {"line", "point", "graph", "cuboid", "cuboid_3d"}


def detect(root: Path) -> str | None:
    """Find ann/ beside img/, unless the masks were exported too (masks_machine/), or the images have others."""
    folders = _datasets(root)
    found = any(some(below(folder / "ann", ".json"), _MARKS) for folder in folders)
    exported = any((folder / "masks_machine").is_dir() for folder in folders)
    return plural(len(folders), "dataset") if found and not exported and not masks_pair(root, 1) else None


def read(root: Path, options: ReadOptions) -> Dataset:
    """Read Supervisely's annotations: background and the classes of meta.json.

    Raises:
        MaskwrightError: meta.json is damaged, or no annotation has an image.
    """
    files = [path for folder in _datasets(root) for path in below(folder / "ann", ".json")]
    search = Search(Images(root))
    drawn: list[DrawnImage] = []
    faults: list[Fault] = []
    for path in files:
        try:
            document = parsed_json(path)
            image = search.one(_images(search.images, path), path, path.stem)
            if image is not None:
                drawn.append(_drawn(image, path, document, split_of(root, image)))
        except MaskwrightError as error:
            search.skip(_images(search.images, path))
            faults.append(unreadable(path, error))
    if not drawn:
        raise search.nothing_found(root, faults)
    listed = class_list(drawn, options, _class_names(root), root)
    layout = f"img/ + ann/ of {plural(len(files), 'image')}"
    faults += search.faults("no file in ann/ belongs to")
    return drawn_dataset(root, ("supervisely", layout), drawn, options, listed, faults)


def _datasets(root: Path) -> list[Path]:
    """Return the folders that hold both img/ and ann/, down to datasets within datasets."""
    found = [path.parent for depth in range(4) for path in root.glob("*/" * depth + "ann") if path.is_dir()]
    return sorted(folder for folder in found if (folder / "img").is_dir())


def _class_names(root: Path) -> list[str]:
    """Return the classes in the order of meta.json, which lies in the project's folder; none if it is not there."""
    path = next((folder / "meta.json" for folder in (root, root.parent) if (folder / "meta.json").is_file()), None)
    if path is None:
        return []
    try:
        return [str(entry["title"]) for entry in parsed_json(path)["classes"]]
    except DAMAGE as error:
        raise MaskwrightError(f"{path} lists no classes ({reason(error)}): export the project again") from None


def _images(images: Images, path: Path) -> list[Path]:
    """Find the image of ann/NAME.jpg.json in img/ beside it; older files are called NAME.json."""
    folder = path.parent.parent / "img"
    name = record_id(images.base, folder / path.stem)
    return images.named(name, path) or [image for image in images.like(path) if image.parent == folder]


def _drawn(image: Path, path: Path, document: Any, split: Split | None) -> DrawnImage:
    """Read the objects of one file.

    Raises:
        MaskwrightError: an object is damaged.
    """
    try:
        size = (int(document["size"]["height"]), int(document["size"]["width"]))
        return DrawnImage(image, path, [_object(entry, size) for entry in document["objects"]], size, split)
    except (*DAMAGE, zlib.error) as error:
        raise MaskwrightError(f"{path} holds a damaged object ({reason(error)}): export it again") from None


def _object(entry: dict[str, Any], size: tuple[int, int]) -> Drawing:
    label = str(entry.get("classTitle") or "") or None
    kind = entry.get("geometryType") or entry.get("type") or ("bitmap" if entry.get("bitmap") else "polygon")
    if kind in {"bitmap", "alpha_mask"}:
        left, top = entry["bitmap"]["origin"]
        content = zlib.decompress(base64.b64decode(entry["bitmap"]["data"]))
        return pasted(label, from_picture(content), (int(top), int(left)), size)
    parts = entry.get("points") or {}
    rings = [
        [value for point in ring for value in point]
        for ring in (parts.get("exterior", []), *(parts.get("interior") or []))
    ]
    box = box_around(rings[0])
    # Whole numbers are pixels, which belong to the object, as in the SDK; a fraction is a place between pixels.
    if kind == "rectangle" and box is not None:
        left, top, right, bottom = box
        last = int(all(map(float.is_integer, box)))
        return outlined(label, [[box_ring((left, top, right + last, bottom + last))]])
    if kind in {"polygon", "rectangle"}:
        shape = outlined(label, [rings])
        kept = [*shape.polygons, *(hole for holes in shape.holes for hole in holes)]
        whole = all(value.is_integer() for ring in kept for value in ring)
        return filled(label, kept, size) if kept and whole else shape
    return Drawing(label, box=box, kind="line" if kind in _LINES else "unknown")
