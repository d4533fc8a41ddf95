"""The results of one image after the other: read, predicted, decoded and written. Chooses no image."""

from __future__ import annotations

from contextlib import ExitStack, closing, nullcontext
from typing import TYPE_CHECKING, Any

from maskwright.core.allocator import keep_freed_memory
from maskwright.core.errors import MaskwrightError
from maskwright.core.records import Reading
from maskwright.data.readers.arrays import require_room
from maskwright.data.readers.pixel_size import pixel_size
from maskwright.diagnosis.risk import Promise, image_risk
from maskwright.inference import Predictor
from maskwright.ops.rows import SlicedRows
from maskwright.workflows.predict_parts.journal import Done
from maskwright.workflows.predict_parts.results import (
    PARTS,
    Failure,
    Predicted,
    Unusable,
    check_names,
    unusable,
    usable,
)
from maskwright.workflows.predict_parts.scan_plan import flip_notes, is_scan, place_notes, place_of
from maskwright.workflows.predict_parts.scan_run import ScanOptions, opened, predict_scan
from maskwright.workflows.predict_parts.videos import VideoJob

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path, PurePosixPath

    from numpy.typing import NDArray

    from maskwright.core.pixel_size import PixelSize
    from maskwright.data.readers.geotiff import Georeference
    from maskwright.inference.opening import Loaded
    from maskwright.inference.smoothing import Smoother
    from maskwright.tasks import Block, Writer
    from maskwright.workflows.predict_parts.journal import Entries
    from maskwright.workflows.predict_parts.pictures import Picture
    from maskwright.workflows.predict_parts.scan_run import OpenImage
    from maskwright.workflows.predict_parts.videos import Clip
    from maskwright.workflows.predict_request import PredictRequest


class Writing:
    """One call of `predict`: what is the same for all images.

    Args:
        predictor: the model.
        out: folder for the results.
        kinds: of files to write.
        scale: size of a pixel; None for what each file says.
        level: of pyramids; None for the largest.
        judged: whether scans get a risk, too, which takes time.
    """

    def __init__(
        self,
        predictor: Predictor,
        out: Path,
        kinds: dict[str, Writer],
        scale: PixelSize | None,
        level: int | None = None,
        *,
        judged: bool = False,
    ) -> None:
        self.predictor, self.out, self.kinds, self.scale, self.level = predictor, out, kinds, scale, level
        self.judged = judged
        self._scans: dict[PurePosixPath, bool] = {}
        self.collectors = {
            out / writer.folder: writer.collect(predictor.classes)
            for writer in kinds.values()
            if writer.collect is not None
        }

    def files(self, picture: Picture) -> dict[str, Path]:
        """Return where each kind of result of one image goes."""
        scan = self.is_scan(picture)
        return {
            kind: self.out / writer.folder / f"{picture.name}{writer.scan_suffix if scan else writer.suffix}"
            for kind, writer in self.kinds.items()
            if writer.collect is None
        }

    def parts(self, picture: Picture) -> Path:
        """Return the folder for the finished rows of an image, if it is predicted by rows."""
        return self.out / picture.name.with_name(f".{picture.name.name}{PARTS}")

    def is_scan(self, picture: Picture) -> bool:
        """Tell whether an image is predicted by rows, which needs kinds of files that can be written so."""
        return all(writer.scan for writer in self.kinds.values()) and self._is_large(picture)

    def _is_large(self, picture: Picture) -> bool:
        """Tell what `is_scan` says of an image; its header is read once."""
        if picture.given is not None:
            return False  # and nothing is kept of the frames of a video
        if picture.name not in self._scans:
            self._scans[picture.name] = is_scan(picture.image, self.level)
        return self._scans[picture.name]

    @classmethod
    def prepared(
        cls,
        loaded: Loaded,
        out: Path,
        kinds: Sequence[str],
        scale: PixelSize | None,
        level: int | None = None,
        judged: bool = False,
    ) -> Callable[[Picture], Done | Failure]:
        """Load the model again, in another process, and return `run`."""
        arguments = loaded._asdict()
        flip = arguments.pop("flip")
        predictor = Predictor.load(**arguments).with_flip(flip)
        writers = {kind: predictor.task.writers[kind] for kind in kinds}
        return cls(predictor, out, writers, scale, level, judged=judged).run

    def run(self, picture: Picture, on_share: Callable[[float], None] = lambda _share: None) -> Done | Failure:
        """Predict one image and write its results; `on_share` gets the share done after each tile.

        Returns:
            The results, or the reason why there are none: the image cannot be read, does not fit the model, or has too
            long a name for its results.

        Raises:
            MaskwrightError: the results cannot be written.
        """
        try:
            return self._run(picture, on_share)
        except Unusable as error:
            return Failure(picture.image.path, str(error))

    def video_job(self, clip: Clip, request: PredictRequest, entries: list[Entries]) -> VideoJob:
        """Return what is done with each frame of a video: as with an image, but one overlay for all.

        Args:
            clip: the video.
            request: which frames to take, and whether to smooth.
            entries: to which those of each frame are added.
        """
        each = {kind: writer for kind, writer in self.kinds.items() if kind != "overlay"}
        frames = Writing(self.predictor, self.out, each, self.scale)
        task, classes = self.predictor.task, self.predictor.classes

        def decoded(picture: Picture, pixels: NDArray[Any], smoother: Smoother | None) -> tuple[Any, float | None]:
            promise = Promise(self.predictor.card.channels)
            result = frames._decoded(picture, pixels, lambda _: None, smoother, promise)
            return result, image_risk(promise, result)

        def write(picture: Picture, pixels: NDArray[Any], result: Any) -> dict[str, int | float]:
            done = frames._written(picture, pixels, result)
            if frames.collectors:
                entries.append(done.entries)
            return done.predicted.summary

        return VideoJob(
            decoded,
            write,
            lambda pixels, result: task.overlay(pixels, result, classes),
            clip.files(self.out, self.kinds),
            request,
        )

    def _run(self, picture: Picture, on_share: Callable[[float], None]) -> Done:
        files = self.files(picture)
        check_names(picture, self.out, files)
        if self.is_scan(picture):
            writers = {files[kind]: writer for kind, writer in self.kinds.items()}
            options = ScanOptions(self.level, self.scale, self.judged)
            done = predict_scan(picture, self.predictor, writers, self.parts(picture), on_share, options)
            return Done(Predicted(picture.image.path, files, done.summary, risk=done.risk), {}, done.notes)
        image = self._read(picture)
        promise = Promise(self.predictor.card.channels)
        result = self._decoded(picture, image, on_share, promise=promise)
        return self._written(picture, image, result, image_risk(promise, result))

    def _decoded(
        self,
        picture: Picture,
        image: NDArray[Any],
        on_share: Callable[[float], None],
        smoother: Smoother | None = None,
        promise: Promise | None = None,
    ) -> Any:
        """Predict an image, and write what is written block by block.

        Args:
            picture: the image.
            image: its pixels.
            on_share: gets the share done after each tile.
            smoother: of a video.
            promise: that gets the blocks.

        Raises:
            Unusable: it does not fit the model.
        """
        files, task, classes = self.files(picture), self.predictor.task, self.predictor.classes
        size = image.shape[0], image.shape[1]
        with ExitStack() as stack:
            found = stack.enter_context(closing(usable(picture, self._blocks(image))))
            sinks = [
                stack.enter_context(writer.stream(files[kind], size, classes))
                for kind, writer in self.kinds.items()
                if writer.stream is not None
            ]
            if promise is not None:
                sinks.append(promise.add)
            blocks = self._watched(smoother.smoothed(image, found) if smoother else found, sinks, size, on_share)
            confidence = any(writer.confidence for writer in self.kinds.values())
            return task.decode(blocks, size, classes, self.predictor.card.decoding, confidence=confidence)

    def _written(self, picture: Picture, image: NDArray[Any], result: Any, risk: float | None = None) -> Done:
        """Write the results of an image.

        Raises:
            MaskwrightError: they cannot be written.
        """
        files, task, classes, place = self.files(picture), self.predictor.task, self.predictor.classes, None
        for kind, writer in self.kinds.items():
            if writer.write is not None:
                writer.write(files[kind], image, result, classes)
            if writer.measure is not None:
                scale = self.scale or (pixel_size(picture.image, self.level or 0) if picture.given is None else None)
                writer.measure(files[kind], image, result, classes, scale)
            if writer.locate is not None:
                place = _place(picture, image)
                writer.locate(files[kind], image, result, classes, place)
        entries = {
            path.name: collector.entry(str(picture.relative), result, str(picture.name))
            for path, collector in self.collectors.items()
        }
        summary = task.describe(result, classes)
        notes = (*place_notes(place, files.values()), *flip_notes(self.predictor, image.shape[:2]))
        return Done(Predicted(picture.image.path, files, summary, picture.image.page, risk), entries, notes)

    def finish(self, entries: Sequence[Entries]) -> tuple[Path, ...]:
        """Write the files about all images, given the entries of each."""
        for path, collector in self.collectors.items():
            collector.write(path, (each[path.name] for each in entries))
        return tuple(self.collectors)

    def _watched(
        self,
        blocks: Iterator[Block],
        sinks: Sequence[Callable[[Block], None]],
        size: tuple[int, int],
        on_share: Callable[[float], None],
    ) -> Iterator[Block]:
        """Pass every block to the sinks, and report how much of the image is done."""
        done, pixels = 0, size[0] * size[1]
        for block in blocks:
            for sink in sinks:
                sink(block)
            yield block
            done += block.maps.shape[1] * block.maps.shape[2]
            if done < pixels:
                on_share(done / pixels)

    def _read(self, picture: Picture) -> Any:
        """Return an image; one that is too large for memory as its rows, if its objects are wanted and not its maps."""
        if self._is_large(picture) and (self.predictor.task.objects or self.level is not None):
            rows = opened(picture, self.predictor, self.level)
            return SlicedRows(rows) if self.predictor.task.objects else _whole(picture, rows)
        try:
            if picture.given is not None:
                return picture.read(Reading(self.predictor.card.nodata, self.predictor.card.upright))
            return self.predictor.read(picture.image)
        except (MaskwrightError, MemoryError) as error:
            raise unusable(picture, error) from error

    def _blocks(self, image: Any) -> Iterator[Block]:
        predictor, rows = self.predictor, isinstance(image, SlicedRows)
        predictor.check(image)
        apart = rows or predictor.task.objects or predictor.postprocessor or not predictor.is_large(image)
        with nullcontext() if apart else keep_freed_memory():  # turns are alike
            yield from predictor.blocks(image.source if rows else image)


def _whole(picture: Picture, rows: OpenImage) -> NDArray[Any]:
    """Return an image that was opened to be read by rows, as one array.

    Raises:
        Unusable: it cannot be read.
    """
    try:
        with closing(rows):
            require_room(picture.image, rows.size, rows.channels * rows.dtype.itemsize)
            return rows.rows(0, rows.size[0])
    except (MaskwrightError, MemoryError) as error:
        raise unusable(picture, error) from error


def _place(picture: Picture, image: Any) -> Georeference | None:
    if isinstance(image, SlicedRows):
        place: Georeference | None = image.source.place  # type: ignore[attr-defined]
        return place
    return place_of(picture.image) if picture.given is None else None
