"""Supervisely's export as masks: DATASET/img/, DATASET/masks_machine/ with class ids, and names in meta.json."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from maskwright.core.documents import parsed_json
from maskwright.core.errors import MaskwrightError
from maskwright.core.records import Dataset, Fault, ImageRef
from maskwright.data.formats.folder import Layout, dataset_of
from maskwright.data.formats.meaning.tables import Entry, table_of
from maskwright.data.formats.outlines.annotation_files import DAMAGE
from maskwright.data.formats.outlines.checked import reason
from maskwright.data.formats.pairing import naming, pair_faults
from maskwright.data.formats.pairing.matching import File, matched
from maskwright.data.formats.pairing.stacks import ImagePair
from maskwright.data.formats.walk import images_below, record_id

if TYPE_CHECKING:
    from pathlib import Path

    from maskwright.core.read_options import ReadOptions
    from maskwright.data.formats.meaning.tables import ClassTable

_MASKS = "masks_machine"
_COLORS = "obj_class_to_machine_color.json"


def detect(root: Path) -> str | None:
    """Find meta.json, and img/ beside masks_machine/ in folders below it."""
    folders = _folders(root)
    return ", ".join(f"{folder.name}/img/" for folder in folders) if folders else None


def read(root: Path, options: ReadOptions) -> Dataset:
    """Read Supervisely's export as masks.

    Raises:
        MaskwrightError: meta.json or the masks are missing, or meta.json is damaged.
    """
    folders = _folders(root)
    if not folders:
        raise MaskwrightError(
            f"{root} is not a Supervisely export with masks: it needs meta.json, and DATASET/img/ with "
            f"DATASET/{_MASKS}/, which the app 'Export as masks' writes"
        )
    pairs: list[ImagePair] = []
    faults: list[Fault] = []
    for folder in folders:
        found, more = _pairs(root, folder)
        pairs, faults = [*pairs, *found], [*faults, *more]
    if not pairs:
        raise MaskwrightError(f"{root}: {faults[0].message}: {faults[0].cure}" if faults else f"{root} holds no images")
    layout = Layout("supervisely-masks", f"img/ + {_MASKS}/", faults, _table(root))
    return dataset_of(root, pairs, options, layout)


def _folders(root: Path) -> list[Path]:
    """Return the folders of the project that hold img/ and masks; none without a fitting meta.json."""
    if not (root / "meta.json").is_file() or not isinstance(_json(root / "meta.json").get("classes"), list):
        return []
    holding = (path.parent for path in sorted(root.glob("*/img")) if path.is_dir())
    return [folder for folder in holding if (folder / _MASKS).is_dir()]


def _json(path: Path) -> dict[str, Any]:
    content = parsed_json(path)
    return content if isinstance(content, dict) else {}


def _pairs(root: Path, folder: Path) -> tuple[list[ImagePair], list[Fault]]:
    images, masks = (
        [
            File(path, naming.place((folder.name, word, *path.relative_to(folder / place).parts)))
            for path in images_below(folder / place)
        ]
        for place, word in (("img", "images"), (_MASKS, "masks"))
    )
    found = matched(images, masks, loosely=False)
    pairs = [
        ImagePair(
            record_id(root, image.path),
            ImageRef(image.path),
            ImageRef(own[0].path),
            image.place.split,
            more=tuple(ImageRef(mask.path) for mask in own[1:]),
        )
        for image, own in found.pairs
    ]
    return pairs, pair_faults.of_matches(root, images, masks, found)


def _table(root: Path) -> ClassTable:
    """Return the names by id, or by colour: as the export lists them, or else in the order of meta.json from 1 on.

    Raises:
        MaskwrightError: the file that lists them is damaged.
    """
    source = root / _COLORS if (root / _COLORS).is_file() else root / "meta.json"
    try:
        if source.name != _COLORS:
            titles = [str(entry["title"]) for entry in _json(source)["classes"]]
            return _numbered(source, [Entry(number, title) for number, title in enumerate(titles, start=1)])
        colors = {name: _color(color) for name, color in _json(source).items()}
    except DAMAGE as error:
        raise MaskwrightError(f"{source} is damaged ({reason(error)}): export the project again") from None
    if all(len(set(color)) == 1 for color in colors.values()):
        listed = [Entry(color[0], name) for name, color in colors.items()]
        return _numbered(source, listed, '"{name}": [{id}, {id}, {id}]')
    shades = [("background", (0, 0, 0)), *((name, color) for name, color in colors.items() if any(color))]
    entries = (Entry(place, name, color) for place, (name, color) in enumerate(shades))
    return table_of(source, entries, numbered=False, line='"{name}": [{r}, {g}, {b}]')


def _color(values: Any) -> tuple[int, int, int]:
    red, green, blue = map(int, values)
    return red, green, blue


def _numbered(source: Path, listed: list[Entry], line: str = "") -> ClassTable:
    ground = () if any(entry.id == 0 for entry in listed) else (Entry(0, "background"),)
    return table_of(source, (*ground, *listed), numbered=True, line=line)
