"""The files that a prediction of objects writes: id maps, overlays, outlines, COCO annotations. Knows no network.

An object has the same id in all files of its image: its position in the result, from 1. Every file carries the mark of
`data.results`.
"""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from maskwright.core.files import replacing, write_text
from maskwright.data import features, ngff
from maskwright.data.readers.geotiff import KEYS, TEXTS
from maskwright.data.results import MARK, overlay_step, write_jpeg
from maskwright.ops import draw_objects
from maskwright.ops.instance_maps import to_map
from maskwright.ops.outlines import simple_polygons
from maskwright.ops.rows import ArrayRows
from maskwright.tasks import outline_files
from maskwright.tasks.coco_file import CocoFile
from maskwright.tasks.measurements import write_measurements
from maskwright.tasks.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from maskwright.core.classes import Classes
    from maskwright.core.instances import Instance, Instances
    from maskwright.core.pixel_size import PixelSize
    from maskwright.data.features import Feature
    from maskwright.data.readers.geotiff import Georeference


def write_instances(
    path: Path, _image: NDArray[Any], result: Instances, _classes: Classes, place: Georeference | None
) -> None:
    """Write an id map (H, W) as TIFF: uint16, or uint32 for more than 65,535 objects; 0 is background.

    That of a GeoTIFF has its tags of the place on Earth.

    A pixel of several objects has the id of the one with the highest score. The other files hold objects whole.
    """
    import tifffile

    ids = _ids(result)
    kinds = {KEYS: "H", TEXTS: "s"}
    tags = {} if place is None else place.tags
    extra = [(code, kinds.get(code, "d"), len(values), values, True) for code, values in tags.items()]
    with replacing(path) as temporary:
        # Of the tags only the description is always near the start of the file, where the mark is looked for.
        tifffile.imwrite(
            *(temporary, ids),
            description=MARK,
            metadata=None,
            compression="zlib",
            predictor=True,
            extratags=extra,
        )


def write_zarr(path: Path, _image: NDArray[Any], result: Instances, classes: Classes, scale: PixelSize | None) -> None:
    """Write the same id map as an OME-NGFF label image, with the class and the score of each object."""
    labels = [
        ngff.Label(number, None, {"class": classes.names[entry.index], "score": round(entry.score, 4)})
        for number, entry in enumerate(result.objects, start=1)
    ]
    ngff.write_labels(path, ArrayRows(_ids(result)), labels, scale)


def _ids(result: Instances) -> NDArray[Any]:
    return to_map(result, np.uint16 if len(result) <= np.iinfo(np.uint16).max else np.uint32)


def write_overlay(path: Path, image: NDArray[Any], result: Instances, classes: Classes) -> None:
    """Write an image (H, W, C) under its outlined and numbered objects as JPEG, at most 8192 pixels a side."""
    step = overlay_step(result.size)
    colors = draw_objects.colors_of(result, classes)
    write_jpeg(path, draw_objects.overlay(image[::step, ::step], draw_objects.thinned(result, step), colors))


def write_geojson(
    path: Path, _image: NDArray[Any], result: Instances, classes: Classes, place: Georeference | None
) -> None:
    """Write the outlines as `geojson_text` has them; of an image that lies somewhere on Earth, as a map."""
    if place is not None and place.transform is not None:
        features.write_geojson(path, outline_files.objects(result), classes, place)
    else:
        write_text(path, geojson_text(result, classes))


def geojson_text(result: Instances, classes: Classes) -> str:
    """Return the outlines as GeoJSON polygons with holes, in pixels from the upper left corner of the image.

    QuPath reads `objectType`, `classification` and `measurements`; QGIS shows the others as columns.
    """
    # One text an object: as Python's lists, the coordinates of 50,000 objects take half a gigabyte.
    features = ", ".join(
        json.dumps(_feature(number, entry, classes), ensure_ascii=False)
        for number, entry in enumerate(result.objects, start=1)
    )
    head = f'"type": "FeatureCollection", "generator": {json.dumps(MARK)}'
    return f'{{{head}, "features": [{features}]}}'


def _feature(number: int, entry: Instance, classes: Classes) -> dict[str, Any]:
    name = classes.names[entry.index]
    measured = {"score": round(entry.score, 4), "risk": round(entry.risk, 4)}
    return {
        "type": "Feature",
        "geometry": {"type": "MultiPolygon", "coordinates": rings_of(entry)},
        "properties": {
            "objectType": "detection",
            "classification": {"name": name, "color": classes.colors[entry.index]},
            "measurements": measured,
            "id": number,
            "class": name,
            **measured,
        },
    }


def rings_of(entry: Instance) -> list[list[list[list[int]]]]:
    """Return the coordinates of a valid MultiPolygon, whose rings end where they begin."""
    corner = (entry.left, entry.top)
    return [
        [(np.concatenate([ring, ring[:1]]) + corner).tolist() for ring in polygon.rings]
        for polygon in simple_polygons(entry.mask)
    ]


def _coco(classes: Classes, *, as_polygons: bool = False) -> CocoFile:
    return CocoFile(classes, _itself, as_polygons=as_polygons)


def _itself(result: Instances) -> Instances:
    return result


def _objects(result: Instances, _classes: Classes) -> Iterator[Feature]:
    return outline_files.objects(result)


WRITERS: dict[str, Writer] = {
    "instances": Writer("instances", ".tif", locate=write_instances),
    "zarr": Writer("instances", ".zarr", measure=write_zarr),
    "overlay": Writer("overlays", ".jpg", write=write_overlay),
    "coco": Writer("predictions.json", collect=_coco),
    "coco-polygons": Writer("predictions.json", collect=partial(_coco, as_polygons=True)),
    "geojson": Writer("outlines", ".geojson", locate=write_geojson),
    "gpkg": Writer("outlines", ".gpkg", locate=outline_files.located("gpkg", _objects)),
    "measurements": Writer("measurements", ".csv", measure=write_measurements),
}
"""What `predict --save` can write of objects."""
