"""Image in, result out. Knows bundles and images; no data set, no truth, no training, no output file.

An image of any size and dtype is prepared (`ops.images.prepare`, as in training), cut into overlapping tiles, put
through an engine, activated, blended, and brought back to its own size; then the task's decoding and, where it is asked
for, a postprocessor follow. Memory follows the tile: of a large image nothing but the result is ever held at full size
(with a postprocessor, a piece of it). The same image gives the same result every time; float32 is the default, because
that is what gives the same result on another machine as well.
"""

from __future__ import annotations

import copy
import math
import sys
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from maskwright.core.channels import emits_objects
from maskwright.core.errors import MaskwrightError
from maskwright.core.paths import model_file
from maskwright.core.records import ImageRef, Reading
from maskwright.data.readers import read_image
from maskwright.inference.engine import TorchEngine
from maskwright.inference.given_image import check_kind, check_values
from maskwright.inference.maps import blanked
from maskwright.inference.object_tiles import object_blocks
from maskwright.inference.opening import How, Loaded, opened
from maskwright.inference.postprocess_tiles import postprocessed_blocks
from maskwright.inference.prediction import Prediction
from maskwright.inference.prepared_image import PreparedImage
from maskwright.inference.streamed import RowEngine, streamed_blocks
from maskwright.inference.streaming.tracing import NotStreamableError
from maskwright.inference.tiled import TileNetwork, adjusted_blocks, averages
from maskwright.ops.images import working_size_of
from maskwright.ops.no_data import with_holes
from maskwright.postprocess import check_channels, held_by
from maskwright.tasks import TASKS, task_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch
    from numpy.typing import NDArray

    from maskwright.inference.engine import Engine
    from maskwright.models.bundle import Card
    from maskwright.models.segmenter import Segmenter
    from maskwright.ops.rows import RowSource, SlicedRows
    from maskwright.postprocess import Postprocessor
    from maskwright.tasks import Block

STRIDES = (4, 8, 16, 32)
LARGE_PIXELS = 1 << 24
"""Pixels, of the working resolution, above which an image that is held is predicted by rows, if its network can be.

Above as many, the plan averages no views, which need tiles (`predict.flip_pixels`).
"""


class Predictor:
    """A trained network with all that it takes to use it.

    Args:
        engine: runs the network.
        card: preprocessing, channels, tile, decoding.
        postprocessor: follows the network; None for none.
        loaded: how it was loaded; None if it was not, or was changed since.
        by_rows: the network by rows, which then predicts all images so, and over no views; None for tiles.
        tiles_only: predict large images in tiles too, although the network could be computed by rows.

    Attributes:
        task: of the card, what the maps mean.
        classes: names and colours of the classes.
    """

    def __init__(
        self,
        engine: Engine,
        card: Card,
        postprocessor: Postprocessor | None = None,
        loaded: Loaded | None = None,
        by_rows: RowEngine | None = None,
        *,
        tiles_only: bool = False,
    ) -> None:
        self.engine, self.card, self.postprocessor, self.loaded = engine, card, postprocessor, loaded
        self.by_rows, self.tiles_only = by_rows, tiles_only
        self.task = task_of(card)
        self.classes = card.classes.table()

    @classmethod
    def of(
        cls, segmenter: Segmenter, card: Card, device: str | torch.device = "auto", *, fast: bool = False
    ) -> Predictor:
        """Predict with a copy of a network, which stays as it is.

        Raises:
            MaskwrightError: no such device, or a stride that the network cannot have.
        """
        return cls(TorchEngine(copy.deepcopy(segmenter), card, device, fast=fast), card)

    @classmethod
    def load(
        cls,
        path: str | Path,
        device: str | torch.device = "auto",
        *,
        fast: bool = False,
        output_stride: int | None = None,
        postprocess: str | None = None,
        engine: str | None = None,
    ) -> Predictor:
        """Load a bundle or an export: a run folder, the folder of an export, or the model file itself.

        Args:
            path: of it.
            device: to run on.
            fast: see `TorchEngine`.
            output_stride: largest stride of the network, where that can be changed; None for what the bundle says.
            postprocess: name in `postprocess.POSTPROCESSORS` of what shall follow the network, with the settings that
                the bundle holds or else the default ones; None for nothing.
            engine: see `opening.opened`.

        Raises:
            MaskwrightError: no such file, not a bundle, a damaged one, or one for an unknown task; no such device; a
                stride that the network cannot have.
        """
        if output_stride not in {None, *STRIDES}:
            raise MaskwrightError(
                f"output_stride is {output_stride}, and it must be 4, 8, 16 or 32: give one of these, or leave it out",
                "output_stride",
            )
        how = How(device, fast, output_stride)
        found, card = opened(Path(path), how, engine)
        if card.task not in TASKS:
            raise MaskwrightError(
                f"{model_file(Path(path))} is for the task {card.task!r}, but this version has only "
                f"{', '.join(TASKS)}: install a newer one"
            )
        follows = None
        if postprocess is not None:
            check_channels(postprocess, card.channels)
            follows = held_by(card.postprocess, postprocess)
        loaded = Loaded(Path(path).absolute(), str(device), fast, output_stride, postprocess, engine)
        return cls(found, card, follows, loaded)

    def with_decoding(self, decoding: dict[str, Any]) -> Predictor:
        """Return the same network with other numbers for decoding."""
        card = self.card.model_copy(update={"decoding": decoding})
        return Predictor(self.engine, card, self.postprocessor, tiles_only=self.tiles_only)

    def with_postprocessor(self, postprocessor: Postprocessor | None) -> Predictor:
        """Return the same network with another postprocessor."""
        return Predictor(self.engine, self.card, postprocessor, tiles_only=self.tiles_only)

    def in_tiles(self) -> Predictor:
        """Return the same network that predicts large images in tiles too, as other runtimes and the service do."""
        return Predictor(self.engine, self.card, self.postprocessor, tiles_only=True)

    def in_rows(self, working: tuple[int, int]) -> Predictor:
        """Return the predictor, of label maps or edges, by rows.

        Args:
            working: (height, width) of the image as the network sees it.

        Raises:
            NotStreamableError: the network cannot be computed so, or it is averaged over views.
        """
        assert self.postprocessor is None
        if averages(self.card.predict, working):
            raise NotStreamableError("it is averaged with the flipped image (`flip`) or other sizes (`predict.scales`)")
        found = RowEngine(self.engine)
        found.panels(working)
        return Predictor(self.engine, self.card, by_rows=found)

    def with_flip(self, flip: bool | None) -> Predictor:
        """Return the same network that averages with the flipped image always, or over nothing; None: as the card says.

        Raises:
            MaskwrightError: the network emits objects, which cannot be averaged.
        """
        if flip is None:
            return self
        if flip and emits_objects(self.card.channels):
            why = f"{self.card.model.name} emits objects, which cannot be averaged"
            raise MaskwrightError(f"`flip` is on, but {why}: leave it out", "flip")
        views = {"flip": flip, "flip_pixels": sys.maxsize}
        how = (self.card.predict if flip else self.card.predict.alone()).model_copy(update=views)
        card = self.card.model_copy(update={"predict": how})
        loaded = None if self.loaded is None else self.loaded._replace(flip=flip)
        return Predictor(self.engine, card, self.postprocessor, loaded, tiles_only=self.tiles_only)

    def predict(self, image: NDArray[Any] | ImageRef | str | Path) -> Prediction:
        """Predict an image, given as an array (H, W) or (H, W, C) of any real dtype, or a file, or a page of one.

        What is NaN, or masked in a masked array, has no data, and neither has its result.

        Raises:
            MaskwrightError: neither an array nor a file, an unreadable file, or channels or values that the model was
                not trained for.
        """
        check_kind(image)
        pixels = with_holes(image, self.card.nodata) if isinstance(image, np.ndarray) else self.read(image)
        self.check(pixels)
        return Prediction(self.result(pixels), pixels, self)

    def read(self, image: ImageRef | str | Path) -> NDArray[Any]:
        """Read an image file as the images of the training were read.

        Raises:
            MaskwrightError: an unreadable file.
        """
        return read_image(replace(ImageRef.of(image), reading=Reading(self.card.nodata, self.card.upright)))

    def check(self, image: NDArray[Any] | SlicedRows) -> None:
        """Refuse an image without pixels, or whose type cannot hold the values of the training; see `check_values`."""
        check_values(image, self.card)

    def result(self, image: NDArray[Any], *, confidence: bool = False) -> Any:
        """Return what the task decodes of an image (H, W) or (H, W, C), at the image's own size."""
        size = image.shape[0], image.shape[1]
        if confidence or self.postprocessor is not None:
            return self.task.decode(self.blocks(image), size, self.classes, self.card.decoding, confidence=confidence)
        plain = self.with_decoding(self.task.uncalibrated(self.card.decoding))  # a temperature changes no label
        return self.task.decode(plain.blocks(image), size, self.classes, plain.card.decoding)

    def maps(self, image: NDArray[Any]) -> NDArray[np.float32]:
        """Return all activated maps, float32 (C, H, W); class probabilities add up to 1."""
        if emits_objects(self.card.channels):
            raise MaskwrightError(f"{self.card.model.name} emits objects and has no maps: use `result`")
        whole: NDArray[np.float32] | None = None
        for block in self.blocks(image):
            part = block.maps.cpu().numpy()
            if whole is None:
                whole = np.empty((len(part), *image.shape[:2]), np.float32)
            whole[:, block.rows, block.columns] = part
        assert whole is not None
        return whole

    def panels(self, size: tuple[int, int]) -> list[range]:
        """Return the columns of an image, read by rows, that `blocks` gives one part after the other."""
        return [range(size[1])] if self.by_rows is None else self.by_rows.covered(size, self.card.data)

    def blocks(self, image: NDArray[Any] | RowSource, start: int = 0, panel: int | None = None) -> Iterator[Block]:
        """Yield the finished maps of the image in pieces that cover it once, NaN where the image has no data.

        Args:
            image: (H, W) or (H, W, C), any real dtype; or one that is read by rows, a few of which are held at a time.
            start: first row that is wanted. The blocks are those that a call from the top yields, but for a network
                that emits objects, whose blocks always start at the top.
            panel: the only one of `panels` whose columns are wanted; None for all.

        Raises:
            MaskwrightError: channels or values that the model was not trained for.
        """
        if self.postprocessor is not None:
            yield from postprocessed_blocks(self._blocks, image, self.card, self.postprocessor, start)
            return
        suited = self._suited(image) if panel is None else self
        if suited.by_rows is None:
            source = PreparedImage(image, self.card.data)
            yield from map(partial(blanked, gone=source.gone), self._found(source, start))
            return
        card, task = suited.card, self.task
        steps = partial(task.ranked, decoding=card.decoding), partial(task.adjust, decoding=card.decoding)
        for part, source in suited.by_rows.sources(image, card.data, panel):
            with closing(streamed_blocks(source, part, suited.by_rows, card.channels, steps, start)) as blocks:
                yield from map(partial(blanked, gone=source.gone), blocks)

    def is_large(self, image: NDArray[Any]) -> bool:
        """Tell whether an image (H, W) or (H, W, C) has more pixels than `LARGE_PIXELS`, as the network sees it."""
        return math.prod(working_size_of((image.shape[0], image.shape[1]), self.card.data)) > LARGE_PIXELS

    def _suited(self, image: NDArray[Any] | RowSource) -> Predictor:
        """Return the predictor of an image: by rows for a large one that is held, if that is possible."""
        settled = self.tiles_only or self.by_rows is not None or self.task.objects
        if settled or not isinstance(image, np.ndarray) or not self.is_large(image):
            return self
        suited = self.with_decoding({"temperature": 1.0, **self.card.decoding})  # else its maps are no probabilities
        try:
            return suited.in_rows(working_size_of((image.shape[0], image.shape[1]), self.card.data))
        except NotStreamableError:
            return self

    def _blocks(self, image: NDArray[Any]) -> Iterator[Block]:
        return self._found(PreparedImage(image, self.card.data), 0)

    def _found(self, source: PreparedImage, start: int) -> Iterator[Block]:
        if emits_objects(self.card.channels):
            yield from object_blocks(source, self.engine, self.card.predict, shares=self.task.shares)
            return
        network = TileNetwork(self.engine, self.card, source.working)
        yield from adjusted_blocks(source, network, self.task, self.card.decoding, start)
