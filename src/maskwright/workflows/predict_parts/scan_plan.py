"""Which images are read by rows, and how large ones are predicted: by rows, or in which tiles. Writes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from maskwright.core.channels import total
from maskwright.data.readers import DecodeError
from maskwright.data.readers.geotiff import georeference
from maskwright.data.readers.tiff_file import TiffImage
from maskwright.data.readers.zarr_store import is_store, layout_of
from maskwright.inference import Predictor, reach
from maskwright.inference.exported import OpenvinoEngine
from maskwright.inference.prepared_image import PreparedImage
from maskwright.inference.streaming.tracing import NotStreamableError
from maskwright.inference.tiled import averages
from maskwright.ops.images import working_size_of
from maskwright.ops.tiles import ALIGN, SLACK

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from maskwright.core.records import ImageRef
    from maskwright.data.readers.geotiff import Georeference
    from maskwright.ops.rows import RowSource

SCAN_PIXELS = 1 << 27
"""Pixels above which a TIFF is read by rows: its label map and what belongs to it would take a gigabyte."""
_TIFF_SUFFIXES = frozenset({".tif", ".tiff", ".btf", ".tf8", ".svs"})
_LARGEST_TILE = 768
"""Memory grows with its square, and with its height times the width of the image."""
_HELD_BYTES = 1 << 27
"""Bytes of maps that the overlap of two rows of tiles may take, over the width of the image."""
_WASTE = 0.06
"""Share of the work that overlaps may take, unless the tile would be larger than `_LARGEST_TILE`."""


def is_scan(image: ImageRef, level: int | None = None) -> bool:
    """Tell whether an image is predicted by rows, from its header; what cannot be read is not.

    So are TIFF and Zarr images too large to be held, those that say where on Earth they lie, and a level of a pyramid.
    """
    if is_store(image.path):
        return _is_large_store(image, level)
    if image.page is not None or image.more or image.path.suffix.lower() not in _TIFF_SUFFIXES:
        return False
    try:
        with TiffImage(image, "tiff") as tiff:
            if len(tiff.shape) not in {2, 3} or tiff.pages.number > 1:
                return False
            large = tiff.size[0] * tiff.size[1] > SCAN_PIXELS
            return large or level is not None or georeference(tiff.series.keyframe) is not None
    except DecodeError:  # reported when the pixels are read
        return False


def _is_large_store(image: ImageRef, level: int | None) -> bool:
    try:
        height, width = layout_of(image).size()
    except DecodeError:  # reported when the pixels are read
        return False
    return level is not None or height * width > SCAN_PIXELS


def place_of(image: ImageRef) -> Georeference | None:
    """Return where on Earth an image lies, from its header; None if that does not say, or it is no TIFF."""
    if image.page is not None or image.more or image.path.suffix.lower() not in _TIFF_SUFFIXES:
        return None
    if is_store(image.path):
        return None
    with TiffImage(image, "tiff") as tiff:
        return georeference(tiff.series.keyframe)


def place_notes(place: Georeference | None, files: Iterable[Path]) -> Iterator[str]:
    """Say what a user may not expect of results that lie where their map does."""
    if place is None or place.transform is None:
        return
    if place.is_rotated:
        yield "the georeference is rotated; the result has the same, so it is not north up"
    outlines = [file.name for file in files if file.suffix in {".gpkg", ".geojson"}]
    if outlines and place.epsg is None:
        yield (
            f"the reference system has no EPSG code, so {' and '.join(outlines)} cannot name it, and other programs "
            "may take the coordinates for degrees: set the system there by hand"
        )


def flip_notes(predictor: Predictor, size: tuple[int, int]) -> Iterator[str]:
    """Say if an image of `size` (height, width) is too large to be averaged with the views of it."""
    how, working = predictor.card.predict, working_size_of(size, predictor.card.data)
    if how.views and not averages(how, working) and predictor.postprocessor is None:  # whose pieces are small enough
        others = " and ".join(["the flipped image"] * how.flip + ["other sizes of it"] * bool(how.scales))
        yield (
            f"not averaged with {others}, because the network sees more than {how.flip_pixels:,} pixels of it "
            "(`predict.flip_pixels`): it would take more than twice the time (`flip`)"
        )


class RowPlan(NamedTuple):
    """A scan that is predicted by rows (`inference.streamed`).

    Attributes:
        panels: of columns that it is cut into, because all columns together would take too much memory.
    """

    panels: int

    def describe(self) -> str:
        """Say it in a sentence."""
        said = "predicted by rows, without tiles: the labels are those of the whole image in one pass"
        return f"{said}, computed in {self.panels} panels of columns, which saves memory" if self.panels > 1 else said


class TilePlan(NamedTuple):
    """How a scan is cut into tiles.

    Attributes:
        tile: side in pixels of the working resolution.
        overlap: of neighbours, in such pixels.
        reach: see `inference.reach`.
        why: it is not predicted by rows.
    """

    tile: int
    overlap: int
    reach: reach.Reach
    why: str

    def describe(self) -> str:
        """Say it in a sentence."""
        return (
            f"predicted in tiles of {self.tile} pixels that overlap by {self.overlap}: of the pixels more than "
            f"{self.reach.pixels} from the edge of a tile, {100 * self.reach.agreement:.2f} % get the same class as if "
            "the network saw what is beyond it (measured on this image); it cannot be predicted by rows, without "
            f"overlaps, because {self.why}"
        )


def planned(predictor: Predictor, source: RowSource) -> tuple[Predictor, RowPlan | TilePlan | None]:
    """Return the predictor for a large image: by rows, or in tiles with an overlap as far as the network sees.

    Returns:
        The predictor, and what was chosen; the predictor itself and None where one tile covers the image, as well as
        for a postprocessor, which has pieces of its own.
    """
    card = predictor.card
    prepared = PreparedImage(source, card.data)
    side = max(card.predict.tile_size)
    tiles = zip(prepared.working, card.predict.tile_size, strict=True)
    if predictor.postprocessor is not None or all(length <= tile * SLACK for length, tile in tiles):
        return predictor, None
    try:
        streamed = predictor.in_rows(prepared.working)
        return streamed, RowPlan(len(streamed.panels(source.size)))
    except NotStreamableError as error:
        why = str(error)
    if min(prepared.working) < 2 * side:
        return predictor, None
    row = 4 * total(card.channels) * prepared.working[1]
    most = _HELD_BYTES // row // 2 // ALIGN * ALIGN
    found = reach.measured(prepared, predictor.engine, card, most)
    overlap = max(2 * found.pixels, ALIGN)
    tile = side
    while (1 - overlap / tile) ** 2 < 1 - _WASTE and tile < min(_LARGEST_TILE, *prepared.working):
        tile = min(tile + side, _LARGEST_TILE, *prepared.working)
    how = card.predict.model_copy(update={"tile": (tile, tile), "overlap": overlap / tile})
    wanted = card.model_copy(update={"predict": how})
    engine = predictor.engine
    if isinstance(engine, OpenvinoEngine):  # which is up to twice as fast on tiles of a size that it was compiled for
        engine = engine.for_tiles(how)
    return Predictor(engine, wanted, predictor.postprocessor), TilePlan(tile, overlap, found, why)
