"""Label Studio: a JSON file of tasks, with polygons, rectangles, ellipses and brush masks. Paints nothing.

Its JSON-MIN is read too, which leaves out how a task is laid out, and with it whether an image was turned.
Its export of brush masks as PNG or NumPy files does not tell which image a mask belongs to, and is refused.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np

from maskwright.core.documents import parsed_json
from maskwright.core.errors import MaskwrightError
from maskwright.core.records import Fault
from maskwright.core.text import agree, listing, plural, such_as
from maskwright.data.formats.outlines.annotation_files import DAMAGE, few, holds, unreadable
from maskwright.data.formats.outlines.bitmaps import pasted
from maskwright.data.formats.outlines.checked import reason
from maskwright.data.formats.outlines.drawn import class_list, drawn_dataset
from maskwright.data.formats.outlines.located import Images, Search, plain, split_of
from maskwright.data.formats.outlines.shapes import Drawing, DrawnImage, box_ring, ellipse, outlined, turned
from maskwright.data.formats.walk import walk
from maskwright.data.readers import image_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from maskwright.core.read_options import ReadOptions
    from maskwright.core.records import Dataset

_MARKS = ('"annotations"', '"result"', '"data"')
_MIN_MARKS = ('"original_width"', '"original_height"', 'labels"')
_BRUSH = re.compile(r"task-\d+-annotation-\d+-by-\d+-tag-.*-\d+\.(png|npy)")
# What Label Studio puts before the name of a file that was uploaded; of some versions it is shorter.
_UPLOAD, _SHORT_UPLOAD = re.compile(r"[0-9a-f]{8}-"), re.compile(r"upload/(?:\d+/)?[0-9a-f]+-([^/]+)$")


def detect(root: Path) -> str | None:
    """Find a JSON export, or masks of which nobody knows the image."""
    paths = _json_files(root)
    if paths:
        return listing([path.name for path in paths])
    return "brush masks" if root.is_dir() and any(_BRUSH.fullmatch(path.name) for path in walk(root)) else None


def read(root: Path, options: ReadOptions) -> Dataset:
    """Read Label Studio's JSON: background and the labels.

    Raises:
        MaskwrightError: there are brush masks only, or none of the images is usable.
    """
    paths = _json_files(root)
    if not paths:
        name = next((path.name for path in walk(root) if _BRUSH.fullmatch(path.name)), None) if root.is_dir() else None
        if name is None:
            raise MaskwrightError(f"{root} holds no JSON file of Label Studio: export the project as JSON")
        raise MaskwrightError(
            f"{root} holds brush masks of Label Studio, such as {name}, whose names do not identify their images: "
            "export the project as JSON, and put the file and the images here instead of the masks"
        )
    search = Search(Images(root if root.is_dir() else root.parent))
    drawn: list[DrawnImage] = []
    faults: list[Fault] = []
    for path in paths:
        sound = []
        try:
            tasks = _tasks(path)
        except MaskwrightError as error:
            faults.append(unreadable(path, error))
            continue
        for task in tasks:
            try:
                entry = _drawn(search, path, task)
            except MaskwrightError as error:
                faults.append(unreadable(path, error))
                continue
            sound.append(task)
            drawn += [entry] if entry else []
        faults += _counted(path, sound)
    if not drawn:
        raise search.nothing_found(root, faults)
    layout = listing([path.name for path in paths])
    listed = class_list(drawn, options, (), search.images.base)
    faults += search.faults("no JSON file lists")
    return drawn_dataset(root, ("labelstudio", layout), drawn, options, listed, faults)


def _json_files(root: Path) -> list[Path]:
    paths = few(root, ".json") if root.is_dir() else [root] if root.suffix.lower() == ".json" else []
    return [path for path in paths if holds(path, _MARKS) or holds(path, _MIN_MARKS)]


def _tasks(path: Path) -> list[dict[str, Any]]:
    tasks = parsed_json(path)
    if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
        raise MaskwrightError(f"{path} is not a list of tasks: export the project as JSON")
    return tasks if all("data" in task for task in tasks) else _whole(tasks)


def _whole(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Make tasks of the entries of JSON-MIN, which holds one for each annotation, with its results as lists."""
    tasks: dict[str, dict[str, Any]] = {}
    for number, entry in enumerate(entries):
        own: dict[str, Any] = {"id": entry.get("id"), "data": entry, "annotations": []}
        task = tasks.setdefault(str(entry.get("id", f"no id {number}")), own)
        values = [value for found in entry.values() if isinstance(found, list) for value in found]
        results = [{**value, "value": value} for value in values if isinstance(value, dict)]
        if results or "annotation_id" in entry:
            task["annotations"].append({"result": results, "updated_at": entry.get("updated_at")})
    return list(tasks.values())


def _finished(task: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the annotations that were not cancelled, the one that counts last: the ground truth, or the latest."""
    found = [entry for entry in task.get("annotations") or [] if not entry.get("was_cancelled")]
    return sorted(found, key=lambda entry: (bool(entry.get("ground_truth")), str(entry.get("updated_at") or "")))


def _counted(path: Path, tasks: list[dict[str, Any]]) -> Iterator[Fault]:
    """Report tasks that nobody annotated, and those that several people did."""
    empty = [task for task in tasks if not _finished(task)]
    skipped = [task for task in empty if task.get("annotations")]
    guessed = [task for task in empty if task.get("predictions") and task not in skipped]
    untouched = [task for task in empty if task not in skipped and task not in guessed]
    several = [task for task in tasks if len(_finished(task)) > 1]
    for those, one, many, cure in (
        (
            untouched,
            "has no annotation",
            "have no annotation",
            "submit an annotation, even if the image shows nothing to annotate",
        ),
        (skipped, "was skipped", "were skipped", "annotate them, or remove them"),
        (guessed, "has only predictions", "have only predictions", "check them, and submit them as annotations"),
    ):
        if those:
            count, verb = len(those), agree(len(those), "is", "are")
            message = f"{plural(count, 'task')}, {such_as(count, those[0].get('id'))}, {agree(count, one, many)}"
            yield Fault("unpaired", "warning", path, f"{message} and {verb} not used", cure)
    if several:
        have = agree(len(several), "has", "have")
        message = (
            f"{plural(len(several), 'task')}, {such_as(len(several), several[0].get('id'))}, {have} several annotations"
        )
        cure = "mark the right one as ground truth, or delete the others"
        yield Fault("annotated-twice", "warning", path, f"{message}; the latest is used", cure)


def _drawn(search: Search, path: Path, task: dict[str, Any]) -> DrawnImage | None:
    """Read one task; None if it has no annotation, or its image is not there.

    Raises:
        MaskwrightError: a result is damaged.
    """
    try:
        names = _image_names(task["data"])
        found = dict.fromkeys(image for name in names for image in _images(search.images, path, name))
        image = search.one(list(found), path, " or ".join(names))
        annotations = _finished(task)
        if image is None or not annotations:
            return None
        results = annotations[-1]["result"]
        if any(entry.get("image_rotation") for entry in results):
            raise MaskwrightError(
                f"{path}: the image of task {task.get('id')} was turned while it was annotated: annotate it upright"
            )
        size = _common_size(path, task, [_size(entry) for entry in results if _is_area(entry)], image)
        objects = [shape for entry in _by_id(results) if size and (shape := _object(entry, size)) is not None]
    except DAMAGE as error:
        raise MaskwrightError(
            f"{path}: task {task.get('id')} is damaged ({reason(error)}): export the project again"
        ) from None
    return DrawnImage(image, path, objects, size, split_of(search.images.base, image))


def _size(entry: dict[str, Any]) -> tuple[int, int]:
    return int(entry["original_height"]), int(entry["original_width"])


def _common_size(path: Path, task: dict[str, Any], sizes: list[tuple[int, int]], image: Path) -> tuple[int, int] | None:
    """Return the size on which a task was annotated: of several that a rounded pixel tells apart, that of the image.

    Raises:
        MaskwrightError: the sizes differ by more.
    """
    found = list(dict.fromkeys(sizes))
    if any(max(lengths) - min(lengths) > 1 for lengths in zip(*found, strict=True)):
        written = listing([f"{width}x{height}" for height, width in found])
        raise MaskwrightError(
            f"{path}: task {task.get('id')} was annotated on images of several sizes ({written}): annotate it again"
        )
    return next((size for size in found if size == image_size(image)), found[0]) if found else None


def _image_names(data: dict[str, Any]) -> list[str]:
    """Return the path of the image; those of all texts that the task holds, where none is called image."""
    texts = {key: value for key, value in data.items() if isinstance(value, str)}
    return [_image_name(texts["image"])] if "image" in texts else [_image_name(text) for text in texts.values()]


def _images(images: Images, path: Path, name: str) -> list[Path]:
    """Find an image by its path, or by its name before it was uploaded."""
    uploaded, short = _UPLOAD.sub("", name.rpartition("/")[2], 1), _SHORT_UPLOAD.search(name)
    found = images.named(name, path) or images.named(uploaded, path)
    return found or (images.named(short[1], path) if short is not None else []) or images.as_uploaded(uploaded)


def _image_name(address: str) -> str:
    """Return the path that an address means: /data/upload/1/NAME, /data/local-files/?d=PATH, s3://bucket/PATH."""
    parts = urlsplit(address)
    local = parse_qs(parts.query).get("d")
    return plain(unquote(local[0] if local else parts.path))


def _is_area(entry: dict[str, Any]) -> bool:
    return "original_width" in entry and "value" in entry


def _by_id(results: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield each shape once: its outline and its label may be two results of one id."""
    found: dict[object, dict[str, Any]] = {}
    for number, entry in enumerate(entry for entry in results if _is_area(entry)):
        key = entry.get("id", number)
        value = {**found[key]["value"], **entry["value"]} if key in found else entry["value"]
        found[key] = {**entry, "value": value}
    yield from found.values()


def _object(entry: dict[str, Any], size: tuple[int, int]) -> Drawing | None:
    """Read one shape, given in percent of the sides; None for a result that marks no place, such as a choice."""
    value = entry["value"]
    across, down = size[1] / 100, size[0] / 100
    named = [names for key, names in value.items() if key.endswith("labels") and names]
    label = str(named[0][0]) if named and len(named[0]) == 1 else None
    if "rle" in value:
        return pasted(label, _brush(value["rle"], _size(entry)), (0, 0), size)
    if "points" in value:
        points = [
            number * scale for point in value["points"] for number, scale in zip(point, (across, down), strict=True)
        ]
        return outlined(label, [[points]])
    if "x" not in value:
        return None
    x, y = value["x"] * across, value["y"] * down
    angle = value.get("rotation") or 0
    if "radiusX" in value:
        ring = ellipse((x, y), (value["radiusX"] * across, value["radiusY"] * down), angle)
        return outlined(label, [[ring]], box=(x, y, x, y))
    if "height" not in value:
        return Drawing(label, box=(x, y, x, y), kind="line")
    box = (x, y, x + value["width"] * across, y + value["height"] * down)
    ring = turned(box_ring(box), (x, y), angle)
    middle = (ring[0] + ring[4]) / 2, (ring[1] + ring[5]) / 2
    return outlined(label, [[ring]], box=middle * 2 if angle else None)


def _brush(packed: list[int], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Decode a brush mask: bits that code the bytes of an RGBA picture, of which the last byte of a pixel counts.

    A head of 32 bits tells how many values follow, 5 bits how long each is, and four times 4 bits how long the four
    kinds of counts are. Then come blocks: a bit that tells a repeated value from single ones, 2 bits for the kind of
    count, the count less one, and the value or values.

    Raises:
        ValueError: the bits do not make up a picture of this size.
    """
    bits = np.unpackbits(np.array(packed, np.uint8))
    digits = (bits + ord("0")).tobytes()
    place = 0

    def read(count: int) -> int:
        nonlocal place
        place += count
        return int(digits[place - count : place], 2)

    total, width = read(32), read(5) + 1
    counts = [read(4) + 1 for _ in range(4)]
    filled = 0
    blocks: list[NDArray[np.bool_]] = []
    while filled < total:
        repeated = read(1)
        count = read(counts[read(2)]) + 1
        if repeated:
            blocks.append(np.full(count, read(width) > 0))
        else:
            values = bits[place : place + count * width].reshape(count, width)
            blocks.append(np.logical_or.reduce(values, axis=1))
            place += count * width
        filled += count
    return np.concatenate(blocks)[:total].reshape(*size, 4)[..., 3]
