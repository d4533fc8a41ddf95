"""One scan: from its file to the files of its label map. See `scans` for how it is computed."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from maskwright.core.allocator import keep_freed_memory
from maskwright.core.errors import MaskwrightError
from maskwright.core.records import Reading
from maskwright.data.readers import read_image
from maskwright.data.readers.geotiff import georeference
from maskwright.data.readers.pixel_size import pixel_size
from maskwright.data.readers.tiff_file import TiffImage
from maskwright.data.readers.tiff_rows import TiffRows
from maskwright.data.readers.zarr_image import ZarrRows
from maskwright.data.readers.zarr_store import is_store
from maskwright.diagnosis.risk import Promise
from maskwright.ops.rows import ArrayRows, SlicedRows
from maskwright.tasks.scan import Scan
from maskwright.workflows.predict_parts import scan_plan
from maskwright.workflows.predict_parts.bands import LabelBands, remove
from maskwright.workflows.predict_parts.results import unusable, usable
from maskwright.workflows.predict_parts.scan_plan import RowPlan, TilePlan, flip_notes, place_notes, planned
from maskwright.workflows.predict_parts.scans import fill, identity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from maskwright.core.pixel_size import PixelSize
    from maskwright.core.records import ImageRef
    from maskwright.data.readers.geotiff import Georeference
    from maskwright.inference import Predictor
    from maskwright.tasks import Writer
    from maskwright.workflows.predict_parts.pictures import Picture


class WholeImage:
    """An image that was read whole, by rows as `TiffRows` gives them."""

    def __init__(self, array: NDArray[Any], place: Georeference | None) -> None:
        self._rows, self.place = ArrayRows(array), place
        self.size, self.channels, self.dtype = self._rows.size, self._rows.channels, array.dtype
        self.levels = [self.size]

    def rows(self, start: int, stop: int) -> NDArray[Any]:
        """Return a view of rows start..stop."""
        return self._rows.rows(start, stop)

    def close(self) -> None:
        """Do nothing: no file is open."""


OpenImage = TiffRows | ZarrRows | WholeImage


def opened(picture: Picture, predictor: Predictor, level: int | None = None) -> OpenImage:
    """Open an image to be read by rows.

    Raises:
        Unusable: the image cannot be read, or does not fit the model.
    """
    reading = Reading(predictor.card.nodata, predictor.card.upright)
    ref = replace(picture.image, reading=reading)
    try:
        source = ZarrRows(ref, level or 0) if is_store(ref.path) else _tiff(ref, level)
        predictor.check(SlicedRows(source))
    except (MaskwrightError, MemoryError) as error:
        raise unusable(picture, error) from error
    return source


def _tiff(ref: ImageRef, level: int | None) -> TiffRows | WholeImage:
    """Open a TIFF to be read by rows; a small one is read whole, in whatever way it is compressed."""
    with TiffImage(ref, "tiff") as tiff:
        small = level is None and tiff.size[0] * tiff.size[1] <= scan_plan.SCAN_PIXELS
        place = georeference(tiff.series.keyframe)
    return WholeImage(read_image(ref), place) if small else TiffRows(ref, level or 0)


class ScanOptions(NamedTuple):
    """How a scan is predicted.

    Attributes:
        level: of a pyramid; None for the largest.
        scale: size of a pixel; None for what the file says.
        judged: whether its risk is wanted, which takes calibrated probabilities, and time.
    """

    level: int | None = None
    scale: PixelSize | None = None
    judged: bool = False


class ScanResult(NamedTuple):
    """What became of a scan.

    Attributes:
        summary: class name -> pixels, of the classes that occur.
        notes: how it was predicted.
        risk: see `diagnosis.risk`; None where nobody asked for it.
    """

    summary: dict[str, int | float]
    notes: tuple[str, ...]
    risk: float | None


def predict_scan(
    picture: Picture,
    predictor: Predictor,
    writers: Mapping[Path, Writer],
    parts: Path,
    on_share: Callable[[float], None],
    options: ScanOptions,
) -> ScanResult:
    """Predict a scan, or the rest of one whose prediction was interrupted, and write its files.

    Args:
        picture: the image.
        predictor: of label maps.
        writers: file -> what writes it, with `Writer.scan`.
        parts: folder for finished rows; it is removed when all files are written.
        on_share: gets the share of the rows that are done.
        options: how.

    Raises:
        Unusable: the image cannot be read, or does not fit the model.
        MaskwrightError: the results cannot be written.
    """
    level, promise = options.level, partial(Promise, predictor.card.channels)
    source = opened(picture, predictor, level)
    height = source.size[0]
    try:
        tiled, plan = _planned(picture, predictor, source, judged=options.judged)
        key = identity(tiled, picture, source, judged=options.judged)
        bands = LabelBands(parts, source.size, key, tiled.panels(source.size))
        notes = [*_remarks(source, plan, level, writers), *flip_notes(predictor, source.size)]
        if bands.done:
            notes.append(f"the prediction goes on at {bands.place()}")
        for number, panel in enumerate(bands.panels):
            if panel.end < height:
                found = usable(picture, tiled.blocks(source, panel.end, number))
                with keep_freed_memory(), closing(found) as blocks:  # each row of tiles, or turn, allocates the same
                    share = partial(_share, bands, on_share)
                    fill(panel, blocks, tiled.card.channels[0].count, share, promise if options.judged else None)
        scale = options.scale or pixel_size(picture.image, level or 0)
        for path, writer in writers.items():
            assert writer.scan is not None
            writer.scan(path, Scan(source, bands, source.place, scale), predictor.classes)
    finally:
        source.close()
    counts, whole = bands.counts(), promise()
    if options.judged:
        whole.sums = bands.sums()
    remove(parts)
    names = predictor.classes.names
    summary: dict[str, int | float] = {name: int(count) for name, count in zip(names, counts, strict=False) if count}
    return ScanResult(summary, tuple(notes), whole.risk)


def _share(bands: LabelBands, on_share: Callable[[float], None], _row: int) -> None:
    on_share(min(bands.done, 0.999))


def _planned(
    picture: Picture, predictor: Predictor, source: OpenImage, *, judged: bool
) -> tuple[Predictor, RowPlan | TilePlan | None]:
    # A temperature changes no label and takes time, so only the risk needs it. With one, maps by rows are probabilities
    # too. What follows the network was fitted on calibrated probabilities, and always gets them.
    decoding = predictor.card.decoding
    if predictor.postprocessor is None:
        decoding = {"temperature": 1.0, **decoding} if judged else predictor.task.uncalibrated(decoding)
    plain = predictor.with_decoding(decoding)
    try:
        return planned(plain, source)
    except (MaskwrightError, MemoryError) as error:
        raise unusable(picture, error) from error


def _remarks(
    source: OpenImage, plan: RowPlan | TilePlan | None, level: int | None, files: Iterable[Path]
) -> Iterator[str]:
    """Say how an image is predicted, where a user may expect something else."""
    if len(source.levels) > 1:
        listed = ", ".join(f"{number} ({width}x{height})" for number, (height, width) in enumerate(source.levels))
        yield f"level {level or 0} of a pyramid is predicted, of {listed}: name another by its number"
    yield from place_notes(source.place, files)
    if plan is not None:
        yield plan.describe()
