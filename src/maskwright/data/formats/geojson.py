"""GeoJSON over an image, as QuPath and QGIS write it: a file an image, with polygons in pixels or on a map.

Which of the two they are, `map_place` finds out. Large polygons are painted first. Paints nothing itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from maskwright.core.documents import parsed_json
from maskwright.core.errors import MaskwrightError
from maskwright.core.text import plural
from maskwright.data.formats.outlines.annotation_files import DAMAGE, below, masks_pair, some, unreadable
from maskwright.data.formats.outlines.checked import reason
from maskwright.data.formats.outlines.drawn import class_list, drawn_dataset
from maskwright.data.formats.outlines.located import Images, Search, split_of
from maskwright.data.formats.outlines.map_place import in_pixels
from maskwright.data.formats.outlines.shapes import Drawing, DrawnImage, box_around, outlined, ring_area
from maskwright.data.readers import image_size

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from maskwright.core.read_options import ReadOptions
    from maskwright.core.records import Dataset, Fault

_MARKS = ('"geometry"', '"coordinates"')
_CLASS_KEYS = ("classification", "class", "class_name", "classname", "label", "category", "type", "name")
_UNNAMED = "object"

Feature = dict[str, Any]
_NAME = (
    "give each GeoJSON file the name of its image; if one covers several images, cut it into a file for each, with the "
    "image's corners on the map: ogr2ogr -clipsrc XMIN YMIN XMAX YMAX IMAGE.geojson ALL.geojson"
)


def detect(root: Path) -> str | None:
    """Find GeoJSON files, unless as many images have masks."""
    files = _files(root)
    if not some(files, _MARKS) or masks_pair(root, len(files)):
        return None
    return plural(len(files), "GeoJSON file")


def read(root: Path, options: ReadOptions) -> Dataset:
    """Read GeoJSON: background and the classes of the features; `object` if no feature has a class.

    Raises:
        MaskwrightError: there is no such file, or none has an image.
    """
    search = Search(Images(root if root.is_dir() else root.parent), _NAME)
    found: list[tuple[Path, Path, str | None, list[Feature]]] = []
    drawn: list[DrawnImage] = []
    faults: list[Fault] = []
    for path in _files(root):
        try:
            document = parsed_json(path)
            features = _features(path, document)
            image = search.one(search.images.like(path), path, f"an image called {path.stem}")
            if image is not None:
                found.append((path, image, _system(document), features))
        except MaskwrightError as error:
            search.skip(search.images.like(path))
            faults.append(unreadable(path, error))
    key = _class_key([feature for *_, features in found for feature in features])
    for path, image, system, features in found:
        try:
            objects = [_object(feature, key) for feature in features]
            moved = in_pixels(path, image, image_size(image), objects, system)
            drawn.append(DrawnImage(image, path, moved, None, split_of(search.images.base, image)))
        except MaskwrightError as error:
            faults.append(unreadable(path, error))
    if not drawn:
        raise search.nothing_found(root, faults)
    faults += search.faults("no GeoJSON file belongs to")
    layout = plural(len(found), "GeoJSON file") + (f", classes by {key!r}" if key else "")
    listed = class_list(drawn, options, (), search.images.base)
    return drawn_dataset(root, ("geojson", layout), drawn, options, listed, faults)


def _files(root: Path) -> list[Path]:
    return below(root, ".geojson") or below(root, ".json")


def _features(path: Path, document: Any) -> list[Feature]:
    """Return the features of a collection, of a plain list, or a single one.

    Raises:
        MaskwrightError: the document is no GeoJSON.
    """
    features = document.get("features", [document]) if isinstance(document, dict) else document
    if not isinstance(features, list) or not all(map(_is_feature, features)):
        raise MaskwrightError(f"{path} is not GeoJSON, whose features each have a geometry: export it again")
    return features


def _is_feature(entry: Any) -> bool:
    parts = [entry["geometry"], entry.get("properties")] if isinstance(entry, dict) and "geometry" in entry else [()]
    return all(part is None or isinstance(part, dict) for part in parts)


def _system(document: Any) -> str | None:
    """Return the name of the coordinate system that a document declares."""
    try:
        return str(document["crs"]["properties"]["name"])
    except (KeyError, TypeError):
        return None


def _properties(feature: Feature) -> dict[str, Any]:
    return {str(key).casefold(): value for key, value in (feature.get("properties") or {}).items()}


def _class_key(features: Sequence[Feature]) -> str | None:
    """Return the property that tells the classes: QuPath calls it classification, and elsewhere it has many names."""
    found = [_properties(feature) for feature in features]
    keys = _CLASS_KEYS[:1] if any("objecttype" in entry for entry in found) else _CLASS_KEYS
    return next((key for key in keys if any(_name(entry.get(key)) for entry in found)), None)


def _name(value: Any) -> str | None:
    if isinstance(value, dict):
        names = value.get("names")
        value = value.get("name") or ": ".join(map(str, names if isinstance(names, list) else ()))
    return str(value).strip() or None if isinstance(value, str | int) else None


def _object(feature: Feature, key: str | None) -> Drawing:
    """Read one feature.

    Raises:
        MaskwrightError: its coordinates are damaged.
    """
    label = _UNNAMED if key is None else _name(_properties(feature).get(key))
    geometry = feature["geometry"] or {}
    try:
        parts = [[_flat(ring) for ring in polygon] for polygon in _polygons(geometry)]
    except DAMAGE as error:
        raise MaskwrightError(
            f"{feature.get('id', 'a feature')} has damaged coordinates ({reason(error)}): draw it again"
        ) from None
    if not parts:
        return Drawing(label, box=box_around(_numbers(geometry.get("coordinates"))), kind="line")
    shape = outlined(label, parts)
    inside = sum(map(ring_area, shape.polygons)) - sum(ring_area(hole) for holes in shape.holes for hole in holes)
    return shape._replace(area=inside)


def _polygons(geometry: dict[str, Any]) -> list[list[list[list[float]]]]:
    kind = geometry.get("type")
    if kind == "GeometryCollection":
        return [polygon for part in geometry["geometries"] for polygon in _polygons(part)]
    if kind == "Polygon":
        return [geometry["coordinates"]]
    return geometry["coordinates"] if kind == "MultiPolygon" else []


def _numbers(coordinates: Any) -> list[float]:
    """Return x and y of all points of a line, of several lines, or of a point."""
    if not isinstance(coordinates, list) or not coordinates:
        return []
    if isinstance(coordinates[0], list):
        return [value for part in coordinates for value in _numbers(part)]
    return coordinates[:2]


def _flat(ring: Sequence[Sequence[float]]) -> list[float]:
    return [value for point in ring for value in (point[0], point[1])]
