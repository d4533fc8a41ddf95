"""True edges of an image: read from what people drew, or found between the regions of its mask. Knows no format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from maskwright.core.classes import IGNORE, Classes
from maskwright.core.instances import Instances
from maskwright.data.readers import DecodeError, read_image
from maskwright.data.readers.matlab import SUFFIX, read_drawings
from maskwright.ops.edge_truth import agreed, region_edges
from maskwright.ops.edges import thin
from maskwright.ops.instance_maps import to_map

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from maskwright.core.instances import Instance
    from maskwright.core.read_options import Between
    from maskwright.core.records import EdgeFiles, ImageRef, Record

EDGE_CLASSES = Classes.named(("background", "edge"))
"""The classes of every data set of edges."""
MAJORITY = 0.5
"""Share of people from which on a pixel of a picture of shares is a true edge."""
LEAST_SHARE = 0.05
"""Of the largest value in a picture of shares: below, the values are counts, or of a type with fewer bits."""
MOST_EDGES = 0.5
"""Share of the pixels of a picture that edges cover: beyond, it is inverted, or a mask of regions."""
_SHARES_CURE = "save edges as 0 and 255, or as the share of people between them"


@dataclass(frozen=True, eq=False)
class DrawnEdges:
    """The true edges of one image.

    Attributes:
        people: a map (H, W) for each person, at least one.
        shares: float32 (H, W), the share of people who drew an edge; see `ops.edge_truth.agreed`.
        unknown: (H, W), pixels of which nothing is known; None for none.
        soft: one picture holds the shares, and `people` is a single map of what half of them marked.
    """

    people: Sequence[NDArray[np.bool_]]
    shares: NDArray[np.float32]
    unknown: NDArray[np.bool_] | None = None
    soft: bool = False


def read_drawn(annotation: EdgeFiles, record: Record, size: tuple[int, int]) -> DrawnEdges:
    """Read what people drew on an image of `size` (height, width).

    In pictures, lines of three and more pixels become lines of one.

    Raises:
        DecodeError: a file cannot be read, or has another size than the image.
    """
    if annotation.path.suffix.lower() == SUFFIX:
        drawings = read_drawings(annotation.file)
        for drawn in drawings:
            _check_size(annotation.file, drawn.shape, record, size)
            _check_filled(annotation.file, drawn)
        return DrawnEdges(drawings, agreed(drawings))
    shares = [_shares(file) for file in annotation.files]
    for file, share in zip(annotation.files, shares, strict=True):
        _check_size(file, share.shape, record, size)
    people = [_lines(share >= MAJORITY) for share in shares]
    soft = len(shares) == 1 and bool(((shares[0] > 0) & (shares[0] < 1)).any())
    return DrawnEdges(people, shares[0] if soft else agreed(people), soft=soft)


def edges_of_masks(labels: NDArray[np.uint8], objects: Sequence[Instance], between: Between) -> DrawnEdges:
    """Find the edges between the regions of a mask.

    Args:
        labels: class indices (H, W); no edge lies at the border of a region of `IGNORE`.
        objects: of the mask; a crowd hides the edges within it.
        between: which regions.
    """
    size = (labels.shape[0], labels.shape[1])
    ordered = sorted((entry for entry in objects if not entry.crowd), key=lambda entry: entry.area)
    ids = to_map(Instances(size, tuple(ordered)))
    crowds = to_map(Instances(size, tuple(entry for entry in objects if entry.crowd))) > 0
    unknown = ((labels == IGNORE) | crowds) & (ids == 0)
    found = np.zeros(size, np.bool_)
    if between in {"any", "classes"}:
        found |= region_edges(labels, unknown | (labels == IGNORE))
    if between != "classes":
        found |= region_edges(ids, unknown, touching=between == "touching")
    return DrawnEdges([found], found.astype(np.float32), unknown)


def edge_labels(edges: DrawnEdges) -> NDArray[np.uint8]:
    """Return the label map (H, W): 1 where anybody drew an edge, 0 elsewhere, and `IGNORE`."""
    labels = (edges.shares > 0).astype(np.uint8)
    for drawn in edges.people:
        labels[drawn] = 1
    if edges.unknown is not None:
        labels[edges.unknown] = IGNORE
    return labels


def _lines(drawn: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Thin what was drawn (H, W) if it fills a square of 3 x 3 pixels anywhere."""
    thick = cv2.erode(drawn.astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=0).any()
    return thin(drawn) if thick else drawn


def _shares(file: ImageRef) -> NDArray[np.float32]:
    """Read a picture of edges (H, W) as 0..1: its largest value, or that of its type where it has several, is 1.

    Raises:
        DecodeError: it cannot be read, or is no picture of edges.
    """
    pixels = np.ma.getdata(read_image(file)).max(axis=2)
    values = np.unique(pixels)
    if values[0] < 0 or not np.isfinite(values).all():
        message = "holds values below 0 or that are no numbers"
        raise DecodeError("unreadable", file, message, _SHARES_CURE)
    if len(values) == 2 and values[0] > 0:
        message = f"holds the values {values[0]:g} and {values[1]:g}, and one of them must be 0 for no edge"
        raise DecodeError("unreadable", file, message, _SHARES_CURE)
    if len(values) <= 2:
        shares = (pixels > 0).astype(np.float32)
    else:
        top = np.iinfo(pixels.dtype).max if pixels.dtype.kind in "ui" else max(1.0, float(values[-1]))
        if values[-1] < LEAST_SHARE * top:
            message = f"holds values up to {values[-1]:g}, of {top:g} for an edge that all people drew"
            cure = f"scale them, so that {top:g} is all people" + (", or save 8 bits" if top > 255 else "")
            raise DecodeError("unreadable", file, message, cure)
        shares = (pixels / np.float32(top)).astype(np.float32)
    _check_filled(file, shares >= MAJORITY)
    return shares


def _check_filled(file: ImageRef, drawn: NDArray[np.bool_]) -> None:
    if (filled := np.mean(drawn)) > MOST_EDGES:
        message = f"shows edges on {filled:.0%} of its pixels, so it is inverted or shows areas"
        raise DecodeError("unreadable", file, message, "save lines of 255 on 0, or 1 on 0")


def _check_size(file: ImageRef, shape: tuple[int, ...], record: Record, size: tuple[int, int]) -> None:
    if shape == size:
        return
    found, wanted = f"{shape[1]}x{shape[0]}", f"{size[1]}x{size[0]}"
    message = f"holds edges drawn on {found} pixels, but its image {record.image.name} is {wanted}"
    cure = "draw them on the image at its own size, or remove this drawing or the image"
    raise DecodeError("size-mismatch", file, message, cure)
