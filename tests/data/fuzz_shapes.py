"""Random data sets of drawn outlines whose pixels are known: rectangles at whole pixels, in every format of shapes.

The rectangles of an image do not touch, so the pixels of a class are a sum of products, and no painter takes part in
what is expected.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from hypothesis import strategies as st
from PIL import Image
from tests.data.fuzz_layouts import FILE_NAMES, SIZE, Sample, Truth

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NAMES = ("crack", "pot hole", "道路", "7up")
HEIGHT, WIDTH = SIZE


class Box(NamedTuple):
    """A rectangle of whole pixels, its right and lower edge excluded."""

    index: int
    left: int
    top: int
    right: int
    bottom: int

    @property
    def area(self) -> int:
        """Number of its pixels."""
        return (self.right - self.left) * (self.bottom - self.top)

    @property
    def corners(self) -> list[tuple[int, int]]:
        """Its corners (x, y), in order."""
        left, top, right, bottom = self[1:]
        return [(left, top), (right, top), (right, bottom), (left, bottom)]

    @property
    def ring(self) -> list[int]:
        """Its corners in one list."""
        return [number for corner in self.corners for number in corner]


@dataclass(frozen=True)
class ShapeSpec:
    """A data set to write: format, variant, number of classes, file names, whether one object is damaged, seed."""

    format: str
    variant: int
    classes: int
    names: tuple[str, ...]
    damaged: bool
    seed: int


Drawn = dict[str, list[Box]]


def boxes(rng: np.random.Generator, classes: int) -> list[Box]:
    """Return some rectangles, each in a cell of its own."""
    found = []
    for cell in range(4):
        if rng.random() < 0.7 or cell == 0:
            left, top = 16 * cell + int(rng.integers(0, 5)), int(rng.integers(0, 12))
            width, height = int(rng.integers(4, 11)), int(rng.integers(4, 18))
            found.append(Box(int(rng.integers(classes)), left, top, left + width, top + height))
    return found


def build(spec: ShapeSpec, root: Path) -> Truth:
    """Write the data set below `root`."""
    rng, truth = np.random.default_rng(spec.seed), Truth()
    drawn: Drawn = {name: boxes(rng, spec.classes) for name in spec.names}
    first = drawn[spec.names[0]]  # so that every class is there
    first[:] = [Box(index, 16 * index + 1, 2, 16 * index + 9, 20) for index in range(spec.classes)]
    folder = WRITERS[spec.format](root, drawn, spec)
    for name, objects in drawn.items():
        path = folder / f"{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8)).save(path)
        counts = {own: sum(box.area for box in objects if box.index == index) for index, own in enumerate(NAMES)}
        counts = {own: count for own, count in counts.items() if count}
        counts["background"] = HEIGHT * WIDTH - sum(counts.values())
        truth.samples[path] = Sample(counts, 0)
    if spec.damaged:
        truth.doubtful.add(folder / f"{spec.names[0]}.jpg")
    return truth


def _json(path: Path, document: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document), encoding="utf-8")


def _runs(box: Box) -> list[int]:
    """Return the run-length code of a rectangle: columns first, beginning with zeros."""
    pixels = np.zeros(SIZE, np.uint8)
    pixels[box.top : box.bottom, box.left : box.right] = 1
    flat = pixels.T.ravel()
    changes = np.flatnonzero(np.diff(flat)) + 1
    edges = [0, *([0] if flat[0] else []), *changes.tolist(), flat.size]
    return [after - before for before, after in pairwise(edges)]


def _coco(root: Path, drawn: Drawn, spec: ShapeSpec) -> Path:
    """Variant bit 1: run-length codes; bit 2: a file for each class."""
    images = [
        {"id": 7 * place + 3, "file_name": f"{name}.jpg", "width": WIDTH, "height": HEIGHT}
        for place, name in enumerate(drawn)
    ]
    categories = [{"id": 10 * index + 5, "name": NAMES[index]} for index in range(spec.classes)]
    entries = []
    for place, objects in enumerate(drawn.values()):
        for box in objects:
            outline = {"size": [HEIGHT, WIDTH], "counts": _runs(box)} if spec.variant & 1 else [box.ring]
            if spec.damaged and place == 0 and box.index == 0:
                outline = []
            size = [box.left, box.top, box.right - box.left, box.bottom - box.top]
            entry = {"id": len(entries) + 1, "image_id": 7 * place + 3, "category_id": 10 * box.index + 5}
            entries.append(entry | {"segmentation": outline, "bbox": size, "area": box.area, "iscrowd": 0})
    parts = [[category] for category in categories] if spec.variant & 2 else [categories]
    for number, part in enumerate(parts):
        own = [entry for entry in entries if entry["category_id"] in {category["id"] for category in part}]
        document = {"images": images, "annotations": own, "categories": part}
        _json(root / "annotations" / f"part{number}.json", document)
    return root / "images"


def _yolo(root: Path, drawn: Drawn, spec: ShapeSpec) -> Path:
    """Damaged: the numbers of one file are pixels."""
    labels = root / "labels"
    labels.mkdir(parents=True)
    for place, (name, objects) in enumerate(drawn.items()):
        scale = (1, 1) if spec.damaged and place == 0 else (WIDTH, HEIGHT)
        lines = [
            " ".join([str(box.index), *(f"{number / scale[side % 2]:.6f}" for side, number in enumerate(box.ring))])
            for box in objects
        ]
        (labels / f"{name}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    names = list(NAMES[: spec.classes]) if spec.variant & 1 else dict(enumerate(NAMES[: spec.classes]))
    (root / "data.yaml").write_text(f"train: images\nval: images\nnames: {json.dumps(names)}\n", encoding="utf-8")
    return root / "images"


def _labelme(root: Path, drawn: Drawn, spec: ShapeSpec) -> Path:
    """Variant bit 1: rectangles instead of polygons. Damaged: a polygon of two points."""
    for place, (name, objects) in enumerate(drawn.items()):
        shapes = []
        for box in objects:
            points = [list(corner) for corner in box.corners]
            kind = "rectangle" if spec.variant & 1 else "polygon"
            points = [points[0], points[2]] if kind == "rectangle" else points
            if spec.damaged and place == 0 and box.index == 0:
                kind, points = "polygon", points[:2]
            shapes.append({"label": NAMES[box.index], "points": points, "shape_type": kind, "group_id": None})
        document = {"version": "5.5.0", "flags": {}, "shapes": shapes, "imagePath": f"{name}.jpg", "imageData": None}
        _json(root / f"{name}.json", document | {"imageHeight": HEIGHT, "imageWidth": WIDTH})
    return root


def _cvat(root: Path, drawn: Drawn, spec: ShapeSpec) -> Path:
    """Variant bit 1: boxes instead of polygons. Damaged: a polyline, which has no area."""
    lines = ['<?xml version="1.0" encoding="utf-8"?>', "<annotations><version>1.1</version>", "<meta><job><labels>"]
    lines += [f"<label><name>{name}</name></label>" for name in NAMES[: spec.classes]]
    lines.append("</labels></job></meta>")
    for place, (name, objects) in enumerate(drawn.items()):
        lines.append(f'<image id="{place}" name="{name}.jpg" width="{WIDTH}" height="{HEIGHT}">')
        for box in objects:
            points = ";".join(f"{x},{y}" for x, y in box.corners)
            head = f'label="{NAMES[box.index]}" occluded="0" z_order="0"'
            if spec.damaged and place == 0 and box.index == 0:
                lines.append(f'<polyline {head} points="{points}"></polyline>')
            elif spec.variant & 1:
                sides = f'xtl="{box.left}" ytl="{box.top}" xbr="{box.right}" ybr="{box.bottom}"'
                lines.append(f"<box {head} {sides}></box>")
            else:
                lines.append(f'<polygon {head} points="{points}"></polygon>')
        lines.append("</image>")
    root.mkdir(parents=True, exist_ok=True)
    (root / "annotations.xml").write_text("\n".join([*lines, "</annotations>"]), encoding="utf-8")
    return root / "images"


def _geojson(root: Path, drawn: Drawn, spec: ShapeSpec) -> Path:
    """Damaged: a line instead of a polygon."""
    for place, (name, objects) in enumerate(drawn.items()):
        features = []
        for box in objects:
            ring = [list(corner) for corner in (*box.corners, box.corners[0])]
            geometry: dict[str, object] = {"type": "Polygon", "coordinates": [ring]}
            if spec.damaged and place == 0 and box.index == 0:
                geometry = {"type": "LineString", "coordinates": ring[:2]}
            properties = {"objectType": "annotation", "classification": {"name": NAMES[box.index]}}
            features.append({"type": "Feature", "geometry": geometry, "properties": properties})
        _json(root / f"{name}.geojson", {"type": "FeatureCollection", "features": features})
    return root


WRITERS: dict[str, Callable[[Path, Drawn, ShapeSpec], Path]] = {
    "coco": _coco,
    "yolo": _yolo,
    "labelme": _labelme,
    "cvat": _cvat,
    "geojson": _geojson,
}
# Where a damaged object keeps a box, none of its pixels may become background.
WITH_A_BOX = {"coco", "cvat", "yolo"}


@st.composite
def shape_specs(draw: st.DrawFn) -> ShapeSpec:
    """Draw a data set of outlines."""
    images = draw(st.integers(4, 6))
    names = draw(st.lists(st.sampled_from(FILE_NAMES), min_size=images, max_size=images, unique=True))
    return ShapeSpec(
        draw(st.sampled_from(sorted(WRITERS))),
        draw(st.integers(0, 3)),
        draw(st.integers(1, 4)),
        tuple(names),
        draw(st.booleans()),
        draw(st.integers(0, 1 << 16)),
    )
