"""Predict: a model and images in, masks out. Prints nothing; the result says what was written and what failed."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskwright.core.errors import MaskwrightError, out_of_memory
from maskwright.data.readers.pixel_size import pixel_size
from maskwright.inference import Predictor
from maskwright.workflows.predict_parts.kinds import checked_kinds
from maskwright.workflows.predict_parts.results import (
    Failure,
    Predicted,
    PredictResult,
    Unusable,
    check_names,
    make_room,
    unusable,
)
from maskwright.workflows.predict_parts.sources import find_images

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from maskwright.core.events import OnShare
    from maskwright.core.pixel_size import PixelSize
    from maskwright.tasks import Block, Writer
    from maskwright.workflows.predict_parts.pictures import Picture
    from maskwright.workflows.request import PredictRequest


Entries = dict[str, dict[str, Any]]
"""Name of a file about all images -> what it says about one of them, see `tasks.base.Collector`."""

_STORED = "images are read and masks are written as pixels are stored, without EXIF orientation, as in the training"


def opened(
    run: str | Path,
    device: str = "auto",
    *,
    fast: bool = False,
    output_stride: int | None = None,
    postprocess: str | None = None,
    engine: str | None = None,
) -> tuple[Predictor, str | None]:
    """Load a model as `Predictor.load` does, with a note if the settings of its postprocessor were not fitted.

    Raises:
        MaskwrightError: no usable model, no such device, or a stride that the model cannot have.
    """
    predictor = Predictor.load(
        run, device, fast=fast, output_stride=output_stride, postprocess=postprocess, engine=engine
    )
    follows = predictor.postprocessor
    if follows is None or postprocess is None or getattr(predictor.card.postprocess, postprocess) is not None:
        return predictor, None
    return predictor, (
        f"the model has no settings of the {follows.label}, so the defaults are used ({follows.describe()}): "
        f"`maskwright evaluate RUN DATA --postprocess {postprocess}` fits them, or finds that none are better"
    )


def predict(
    run_or_bundle: str | Path | Predictor,
    sources: Sequence[str | Path],
    out: str | Path,
    request: PredictRequest,
    on_progress: OnShare | None = None,
) -> PredictResult:
    """Predict images and write the results below `out`.

    Args:
        run_or_bundle: folder of a run, or a model file; or a loaded model, which keeps its device and precision.
        sources: image files, folders (searched recursively) and globs.
        out: folder for the results: `masks/`, `overlays/`, `predictions.json`, ... Results keep the paths of their
            images below the sources.
        request: what to write, and how.
        on_progress: called with (images done, images in all); the first number may be a fraction: 2.25 means that a
            quarter of the third image is done.

    Returns:
        What was written. An image that cannot be read or does not fit the model is reported there; the others are
        predicted.

    Raises:
        MaskwrightError: no usable model, no image, an unknown kind, an existing file that maskwright did not write, or
            a folder that cannot be written.
    """
    predictor = run_or_bundle
    if not isinstance(predictor, Predictor):
        predictor = Predictor.load(predictor, request.device, fast=request.fast)
    kinds = checked_kinds(request, predictor.task.writers)
    pictures, missing, notes = find_images(sources, predictor.card.data.channels)
    if not pictures:
        raise MaskwrightError("; ".join(reason for _, reason in missing) or "no image was given to predict")
    failures = [Failure(path, reason) for path, reason in missing]
    writing = _Writing(predictor, Path(out), kinds, request.scale)
    make_room(writing.out, [*(file for each in pictures for file in writing.files(each).values()), *writing.collectors])
    images, entries = [], []
    report = on_progress or (lambda _done, _total: None)
    for done, picture in enumerate(pictures):
        report(done, len(pictures))
        try:
            image, said = writing.run(picture, _within(report, done, len(pictures)))
        except Unusable as error:
            failures.append(Failure(picture.image.path, str(error)))
        else:
            images.append(image)
            entries.append(said)
    report(len(pictures), len(pictures))
    outputs = [file for image in images for file in image.files.values()]
    if not predictor.card.upright:
        notes = (*notes, _STORED)
    return PredictResult((*outputs, *writing.finish(entries)), failures, tuple(images), notes)


def _within(report: OnShare, done: int, total: int) -> Callable[[float], None]:
    """Report the progress within the image after the first `done`."""
    return lambda share: report(done + share, total)


class _Writing:
    """One call of `predict`: what is the same for all images."""

    def __init__(self, predictor: Predictor, out: Path, kinds: dict[str, Writer], scale: PixelSize | None) -> None:
        self.predictor, self.out, self.kinds, self.scale = predictor, out, kinds, scale
        self.collectors = {
            out / writer.folder: writer.collect(predictor.classes)
            for writer in kinds.values()
            if writer.collect is not None
        }

    def files(self, picture: Picture) -> dict[str, Path]:
        """Return where each kind of result of one image goes."""
        return {
            kind: self.out / writer.folder / f"{picture.name}{writer.suffix}"
            for kind, writer in self.kinds.items()
            if writer.collect is None
        }

    def run(self, picture: Picture, on_share: Callable[[float], None]) -> tuple[Predicted, Entries]:
        """Predict one image and write its results; `on_share` gets the share done after each tile.

        Returns:
            What was written, and what each file about all images shall say about this one.

        Raises:
            Unusable: it cannot be read, does not fit the model, or has too long a name for its results.
            MaskwrightError: the results cannot be written.
        """
        check_names(picture, self.out, self.files(picture))
        image = self._read(picture)
        files, task, classes = self.files(picture), self.predictor.task, self.predictor.classes
        size = image.shape[0], image.shape[1]
        with ExitStack() as stack:
            sinks = [
                stack.enter_context(writer.stream(files[kind], size, classes))
                for kind, writer in self.kinds.items()
                if writer.stream is not None
            ]
            blocks = self._watched(self._blocks(picture, image), sinks, size, on_share)
            confidence = any(writer.confidence for writer in self.kinds.values())
            result = task.decode(blocks, size, classes, self.predictor.card.decoding, confidence=confidence)
        for kind, writer in self.kinds.items():
            if writer.write is not None:
                writer.write(files[kind], image, result, classes)
            if writer.measure is not None:
                scale = self.scale or pixel_size(picture.image)
                writer.measure(files[kind], image, result, classes, scale)
        entries = {
            path.name: collector.entry(str(picture.relative), result, str(picture.name))
            for path, collector in self.collectors.items()
        }
        return Predicted(picture.image.path, files, task.describe(result, classes), picture.image.page), entries

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

    def _read(self, picture: Picture) -> NDArray[Any]:
        try:
            return self.predictor.read(picture.image)
        except (MaskwrightError, MemoryError) as error:
            raise unusable(picture, error) from error

    def _blocks(self, picture: Picture, image: NDArray[Any]) -> Iterator[Block]:
        try:
            self.predictor.check(image)
            yield from self.predictor.blocks(image)
        except (MaskwrightError, MemoryError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and not out_of_memory(error):
                raise
            raise unusable(picture, error) from error
