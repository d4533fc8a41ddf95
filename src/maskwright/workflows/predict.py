"""Predict: a model and images in, masks out. Prints nothing; the result says what was written and what failed."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from maskwright.core.errors import MaskwrightError, out_of_memory, unknown_name
from maskwright.core.files import write_error
from maskwright.core.paths import check_folder
from maskwright.data.readers import read_image
from maskwright.inference import Predictor, decide
from maskwright.workflows.evaluate_parts.crf import describe
from maskwright.workflows.predict_parts.outputs import (
    CocoFile,
    count_pixels,
    probability_file,
    write_mask,
    write_overlay,
    written_by_us,
)
from maskwright.workflows.predict_parts.sources import find_images

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from maskwright.core.events import OnShare
    from maskwright.inference import Block
    from maskwright.workflows.predict_parts.sources import Picture

# What can be saved -> folder below the output folder, and suffix.
KINDS = {
    "mask": ("masks", ".png"),
    "overlay": ("overlays", ".jpg"),
    "probabilities": ("probabilities", ".npz"),
}
COCO_KINDS = ("coco", "coco-polygons")
COCO_FILE = "predictions.json"


class Failure(NamedTuple):
    """An image, or a source, without a result.

    Attributes:
        path: of it.
        reason: value, rule and cure, with the path in it.
    """

    path: Path
    reason: str


@dataclass(frozen=True)
class Predicted:
    """What was written for one image.

    Attributes:
        source: the image.
        files: kind -> file.
        pixels: class name -> number of pixels, for the classes that occur.
    """

    source: Path
    files: dict[str, Path]
    pixels: dict[str, int]


@dataclass(frozen=True)
class PredictResult:
    """What a prediction did.

    Attributes:
        outputs: every file written.
        failures: every image or source without a result.
        images: one entry an image that was predicted, in order.
        notes: what was passed over that one might have expected.
    """

    outputs: tuple[Path, ...]
    failures: list[Failure]
    images: tuple[Predicted, ...]
    notes: tuple[str, ...] = ()


def opened(
    run: str | Path, device: str = "auto", *, fast: bool = False, output_stride: int | None = None, crf: bool = False
) -> tuple[Predictor, str | None]:
    """Load a model as `Predictor.load` does, and say where the parameters of its CRF were not fitted.

    Raises:
        MaskwrightError: no usable model, no such device, or a stride that the model cannot have.
    """
    predictor = Predictor.load(run, device, fast=fast, output_stride=output_stride, crf=crf)
    if predictor.crf is None or predictor.card.postprocess.crf is not None:
        return predictor, None
    return predictor, (
        f"the model holds no parameters of a dense CRF, so the usual ones are taken ({describe(predictor.crf)}): "
        "maskwright evaluate RUN DATA --crf fits them, or finds that no CRF is better"
    )


def predict(
    run_or_bundle: str | Path | Predictor,
    sources: Sequence[str | Path],
    out: str | Path,
    save: Sequence[str] = ("mask",),
    device: str = "auto",
    *,
    fast: bool = False,
    on_progress: OnShare | None = None,
) -> PredictResult:
    """Predict images and write the results below `out`.

    Args:
        run_or_bundle: folder of a run, or a model file; or a model that is loaded already, with what it was loaded for.
        sources: image files, folders (searched all the way down) and globs.
        out: folder for the results: `masks/`, `overlays/`, `probabilities/`, `predictions.json`. Results keep their
            images' paths below the sources.
        save: of `mask` (palette PNG of class indices), `overlay` (JPEG to look at), `probabilities` (.npz, float16
            (K, H, W)), `coco` (one JSON of run-length codes), `coco-polygons` (the same, as polygons where a region
            has no holes).
        device: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.
        fast: bfloat16: about twice as fast where the processor has it, a few pixels differ.
        on_progress: called with (images behind us, images in all); within an image of several tiles the first number
            is a fraction, 2.25 for a quarter of the third.

    Returns:
        What was written. An image that cannot be read or does not fit the model is reported there, and the others
        go on.

    Raises:
        MaskwrightError: no usable model, no image at all, an unknown kind, a file in the way that is not a result of
            maskwright, or a folder that cannot be written.
    """
    kinds = _checked(save)
    predictor = run_or_bundle
    if not isinstance(predictor, Predictor):
        predictor = Predictor.load(predictor, device, fast=fast)
    pictures, missing, notes = find_images(sources)
    if not pictures:
        raise MaskwrightError("; ".join(reason for _, reason in missing) or "no image was given to predict")
    failures = [Failure(path, reason) for path, reason in missing]
    job = _Job(predictor, Path(out), kinds)
    job.make_room(pictures)
    images = []
    tell = on_progress or (lambda _done, _total: None)
    for done, picture in enumerate(pictures):
        tell(done, len(pictures))
        try:
            images.append(job.run(picture, _within(tell, done, len(pictures))))
        except _Unusable as error:
            failures.append(Failure(picture.path, str(error)))
    tell(len(pictures), len(pictures))
    outputs = [file for image in images for file in image.files.values()]
    return PredictResult((*outputs, *job.finish()), failures, tuple(images), notes)


def _within(tell: OnShare, done: int, total: int) -> Callable[[float], None]:
    """Tell how far the image after the first `done` is."""
    return lambda share: tell(done + share, total)


class _Unusable(Exception):  # noqa: N818 (it never leaves this file)
    """This image cannot be predicted; the others can."""


class _Job:
    """One call of `predict`: what stays the same from image to image."""

    def __init__(self, predictor: Predictor, out: Path, kinds: tuple[str, ...]) -> None:
        self.predictor, self.out, self.kinds = predictor, out, kinds
        self.coco: CocoFile | None = None
        if set(COCO_KINDS) & set(kinds):
            self.coco = CocoFile(predictor.classes, as_polygons="coco-polygons" in kinds)

    def files(self, picture: Picture) -> dict[str, Path]:
        """Return where each kind of result of one image goes."""
        return {
            kind: self.out / folder / f"{picture.name}{suffix}"
            for kind, (folder, suffix) in KINDS.items()
            if kind in self.kinds
        }

    def make_room(self, pictures: list[Picture]) -> None:
        """Make the output folder, and refuse to write over anything that is not a result of ours."""
        check_folder(self.out)
        try:
            self.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise write_error(self.out, error) from error
        targets = [file for picture in pictures for file in self.files(picture).values()]
        for file in [*targets, *([self.out / COCO_FILE] if self.coco else [])]:
            if file.exists() and not written_by_us(file):
                raise MaskwrightError(
                    f"{file} exists and was not written by a prediction, so it is left alone: choose another --out"
                )

    def run(self, picture: Picture, on_share: Callable[[float], None]) -> Predicted:
        """Predict one image and write its results; `on_share` is told how much of it is done, tile by tile.

        Raises:
            _Unusable: it cannot be read, or does not fit the model.
            MaskwrightError: the results cannot be written.
        """
        image = self._read(picture)
        files, classes = self.files(picture), self.predictor.classes
        size = image.shape[:2]
        labels = np.empty(size, np.uint8)
        confidence = np.empty(size, np.float16) if self.coco else None
        with ExitStack() as stack:
            probabilities = None
            if "probabilities" in files:
                probabilities = stack.enter_context(probability_file(files["probabilities"], size, classes))
            done = 0
            for block in self._blocks(picture, image):
                place = (block.rows, block.columns)
                labels[place], chosen = decide(block.probabilities)
                if confidence is not None:
                    confidence[place] = chosen
                if probabilities is not None:
                    probabilities[:, *place] = block.probabilities.cpu().numpy()
                done += labels[place].size
                if done < labels.size:
                    on_share(done / labels.size)
        if "mask" in files:
            write_mask(files["mask"], labels, classes)
        if "overlay" in files:
            write_overlay(files["overlay"], image, labels, classes)
        if self.coco is not None and confidence is not None:
            self.coco.add(str(picture.relative), labels, confidence)
        counts = count_pixels(labels)
        return Predicted(
            picture.path, files, {name: int(n) for name, n in zip(classes.names, counts, strict=False) if n}
        )

    def finish(self) -> tuple[Path, ...]:
        """Write what speaks of all images."""
        if self.coco is None:
            return ()
        self.coco.write(self.out / COCO_FILE)
        return (self.out / COCO_FILE,)

    def _read(self, picture: Picture) -> NDArray[Any]:
        try:
            return read_image(picture.path)
        except (MaskwrightError, MemoryError) as error:
            raise _unusable(picture, error) from error

    def _blocks(self, picture: Picture, image: NDArray[Any]) -> Iterator[Block]:
        try:
            self.predictor.check(image)
            yield from self.predictor.blocks(image)
        except (MaskwrightError, MemoryError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and not out_of_memory(error):
                raise
            raise _unusable(picture, error) from error


def _unusable(picture: Picture, error: Exception) -> _Unusable:
    if out_of_memory(error):
        first = next(iter(str(error).splitlines()), type(error).__name__)
        return _Unusable(f"{picture.path} needs more memory than is free: cut it into parts ({first})")
    message = str(error)
    return _Unusable(message if str(picture.path) in message else f"{picture.path}: {message}")


def _checked(save: Sequence[str]) -> tuple[str, ...]:
    known = (*KINDS, *COCO_KINDS)
    kinds = tuple(kind.strip() for text in ([save] if isinstance(save, str) else save) for kind in text.split(","))
    if not kinds:
        raise MaskwrightError(f"nothing to save is named, so nothing would be written: give some of {', '.join(known)}")
    for kind in kinds:
        if kind not in known:
            raise unknown_name("result to save", kind, known)
    if set(COCO_KINDS) <= set(kinds):
        raise MaskwrightError("coco and coco-polygons go into the same file: save one of them")
    return kinds
