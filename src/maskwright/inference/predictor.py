"""Image in, mask out. Knows bundles and images; no data set, no truth, no training, no output file.

An image of any size and dtype is prepared (`ops.images.prepare`, as in training), cut into overlapping tiles, put
through the network, blended, and brought back to its own size; then a dense CRF follows, where it is asked for. Memory
follows the tile: of a large image nothing but the result is ever held at full size (with a CRF, a piece of it). The
same image gives the same mask every time; float32 is the default, because that is what gives the same mask on another
machine as well.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch

from maskwright.core.classes import IGNORE
from maskwright.core.errors import MaskwrightError
from maskwright.core.paths import model_file
from maskwright.core.plan import CrfPlan
from maskwright.data.readers import read_image
from maskwright.inference.blend import Blend, Enlarge
from maskwright.inference.crf_tiles import crf_blocks
from maskwright.inference.prepared_image import PreparedImage
from maskwright.models import bundle
from maskwright.models.device import resolve_device
from maskwright.ops import draw
from maskwright.ops.tiles import cover

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from maskwright.core.classes import Classes
    from maskwright.inference.blend import Block
    from maskwright.models.bundle import Card
    from maskwright.models.segmenter import Segmenter

STRIDES = (4, 8, 16, 32)
BATCH = 8  # tiles in one pass where there is a GPU; a CPU is full with one


@dataclass(frozen=True)
class Prediction:
    """What the network says about one image.

    Attributes:
        labels: uint8 (H, W), class indices at the image's own size.
        classes: their names and colours.
        image: as it was given, (H, W) or (H, W, C).
        predictor: for what is computed on demand.
    """

    labels: NDArray[np.uint8]
    classes: Classes
    image: NDArray[Any] = field(repr=False)
    predictor: Predictor = field(repr=False)

    @cached_property
    def probabilities(self) -> NDArray[np.float32]:
        """Probabilities (K, H, W) float32; the first use runs the network again."""
        return self.predictor.probabilities(self.image)

    def overlay(self, alpha: float = 0.5) -> NDArray[np.uint8]:
        """Return the image tinted by its mask, RGB (H, W, 3)."""
        return draw.overlay(self.image, self.labels, self.classes, alpha)


class Predictor:
    """A trained network with all that it takes to use it.

    Attributes:
        segmenter: the network, on `device`, in evaluation mode and at the card's output stride (the one given is
            changed, not copied).
        card: preprocessing, tile, temperature.
        classes: names and colours of the classes.
        device: that it runs on.
        fast: bfloat16 where PyTorch thinks it safe: about twice as fast on processors that have it, and masks that
            differ in some pixels at edges.
        crf: parameters of the dense CRF that follows the network; None for no CRF.
    """

    def __init__(
        self,
        segmenter: nn.Module,
        card: Card,
        device: str | torch.device = "auto",
        *,
        fast: bool = False,
        crf: CrfPlan | None = None,
    ) -> None:
        """Take over a network, and change it: its device, its mode, and its output stride where the card names one.

        Raises:
            MaskwrightError: no such device, or a stride that the network cannot have.
        """
        self.device = resolve_device(device)
        self.card, self.fast, self.crf = card, fast, crf
        self.classes = card.classes.table()
        if card.predict.output_stride is not None:
            _bring_to_stride(cast("Segmenter", segmenter), card)
        self.segmenter = segmenter.to(self.device).to(memory_format=torch.channels_last).eval()
        shape = (1, card.data.channels, 1, 1)
        self._mean = torch.tensor(card.data.mean, device=self.device).reshape(shape)
        self._std = torch.tensor(card.data.std, device=self.device).reshape(shape)

    @classmethod
    def load(
        cls,
        path: str | Path,
        device: str | torch.device = "auto",
        *,
        fast: bool = False,
        output_stride: int | None = None,
        crf: bool = False,
    ) -> Predictor:
        """Load a bundle: a run folder, or the model file itself.

        Args:
            path: of it.
            device: to run on.
            fast: see above.
            output_stride: largest stride of the network, where that can be changed; None for what the bundle says.
            crf: let a dense CRF follow, by the parameters that the bundle holds or the usual ones.

        Raises:
            MaskwrightError: no such file, not a bundle, or a damaged one; no such device; a stride that cannot be.
        """
        if output_stride not in {None, *STRIDES}:
            raise MaskwrightError(f"--output-stride {output_stride}: it must be 4, 8, 16 or 32, or leave it out")
        segmenter, card = bundle.load(model_file(Path(path)))
        if output_stride is not None:
            wanted = card.predict.model_copy(update={"output_stride": output_stride})
            card = card.model_copy(update={"predict": wanted})
        return cls(segmenter, card, device, fast=fast, crf=card.postprocess.crf or CrfPlan() if crf else None)

    def predict(self, image: NDArray[Any] | str | Path) -> Prediction:
        """Predict an image, given as an array (H, W) or (H, W, C) of any real dtype, or as a file.

        Raises:
            MaskwrightError: an unreadable file, or channels or values that the model was not trained for.
        """
        pixels = image if isinstance(image, np.ndarray) else read_image(Path(image))
        self.check(pixels)
        return Prediction(self.labels(pixels), self.classes, pixels, self)

    def check(self, image: NDArray[Any]) -> None:
        """Refuse an image without pixels, or whose type cannot hold the values of the training: it would seem dark.

        Raises:
            MaskwrightError: with the type, the range and the cure.
        """
        if image.ndim not in {2, 3} or not image.size:
            raise MaskwrightError(
                f"an image is (H, W) or (H, W, C), none of them 0, and this one is {image.shape}: give pixels"
            )
        data, kind = self.card.data, image.dtype
        if data.value_range is None or kind.name in self.card.dtypes or not np.issubdtype(kind, np.integer):
            return
        most, high = np.iinfo(kind).max, max(high for _, high in data.value_range)
        if high > most:
            raise MaskwrightError(
                f"the image holds {kind} values, at most {most}, and the model was trained on values up to {high:g} "
                f"(data.value_range), so it would be nearly black to it: give images of the training's pixel type "
                f"({', '.join(self.card.dtypes) or 'such as uint16'}), on its scale"
            )

    def labels(self, image: NDArray[Any]) -> NDArray[np.uint8]:
        """Return the class index of every pixel, uint8 (H, W)."""
        labels = np.empty(image.shape[:2], np.uint8)
        for block in self.blocks(image):
            labels[block.rows, block.columns] = decide(block.probabilities)[0]
        return labels

    def probabilities(self, image: NDArray[Any]) -> NDArray[np.float32]:
        """Return the probability of every class at every pixel, float32 (K, H, W); they add up to 1."""
        probabilities = np.empty((len(self.classes), *image.shape[:2]), np.float32)
        for block in self.blocks(image):
            probabilities[:, block.rows, block.columns] = block.probabilities.cpu().numpy()
        return probabilities

    def blocks(self, image: NDArray[Any]) -> Iterator[Block]:
        """Yield the probabilities of the image in pieces that cover it once, for results that need not be whole.

        Args:
            image: (H, W) or (H, W, C), any real dtype.

        Raises:
            MaskwrightError: channels or values that the model was not trained for.
        """
        if self.crf is None:
            return self._blocks(image)
        return crf_blocks(self._blocks, image, self.card, self.crf)

    def _blocks(self, image: NDArray[Any]) -> Iterator[Block]:
        """Yield what the network says, its temperature applied."""
        source = PreparedImage(image, self.card.data)
        tile, overlap = self.card.predict.tile, self.card.predict.overlap
        rows, columns = (cover(side, length, overlap) for side, length in zip(source.working, tile, strict=True))
        blend, enlarge = Blend(rows, columns), Enlarge(source.working, source.size)
        batch = 1 if self.device.type == "cpu" else BATCH
        for row, top in enumerate(rows.starts):
            band = source.rows(top, top + rows.tile)
            for first in range(0, len(columns), batch):
                lefts = columns.starts[first : first + batch]
                tiles = self._forward(np.stack([band[:, left : left + columns.tile] for left in lefts]))
                for column, values in enumerate(tiles, start=first):
                    for block in enlarge.push(*blend.add(row, column, values)):
                        yield replace(block, probabilities=tempered(block.probabilities, self.card.temperature))

    @torch.no_grad()
    def _forward(self, pixels: NDArray[np.uint8]) -> Tensor:
        """Put prepared tiles uint8 (N, h, w, C) through the network; return probabilities (N, K, h, w) float32."""
        tiles = torch.from_numpy(pixels).to(self.device).permute(0, 3, 1, 2).float()
        tiles = tiles.sub_(self._mean).div_(self._std).contiguous(memory_format=torch.channels_last)
        probabilities = self._activated(tiles)
        if self.card.predict.flip:
            probabilities = probabilities.add_(self._activated(tiles.flip(-1)).flip(-1)).div_(2)
        return probabilities

    def _activated(self, tiles: Tensor) -> Tensor:
        with self._precision():
            logits: Tensor = self.segmenter(tiles)
        logits = logits.float()
        return logits.softmax(dim=1) if logits.shape[1] > 1 else logits.sigmoid()

    @contextlib.contextmanager
    def _precision(self) -> Iterator[None]:
        """Fix the arithmetic: the same kernels every time, and no TF32 unless speed was asked for."""
        with contextlib.ExitStack() as stack:
            if self.device.type == "cuda":
                exact = torch.backends.cudnn.flags(
                    enabled=True, benchmark=False, deterministic=True, allow_tf32=self.fast
                )
                stack.enter_context(exact)
            stack.enter_context(torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.fast))
            yield


def _bring_to_stride(segmenter: Segmenter, card: Card) -> None:
    stride = card.predict.output_stride
    assert stride is not None
    try:
        segmenter.set_output_stride(stride)
    except MaskwrightError as error:
        raise MaskwrightError(f"output stride {stride} cannot be had of this {card.model.name}: {error}") from None


def tempered(probabilities: Tensor, temperature: float) -> Tensor:
    """Make probabilities (K, h, w) as sure as the temperature says (Guo et al. 2017): p^(1/T), scaled to sum 1.

    It comes last, after tiles and mirror images were averaged, since the temperature was fitted on those averages; so
    it never changes which class is likeliest.
    """
    if temperature == 1.0:
        return probabilities
    powers = probabilities.pow(1 / temperature)
    if len(powers) == 1:
        return powers / (powers + (1 - probabilities).pow(1 / temperature))
    return powers / powers.sum(dim=0)


def decide(probabilities: Tensor) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Choose the likeliest class of every pixel, the first of equals.

    Args:
        probabilities: (K, h, w); with K = 1 the class is there where it is at least one half, and `IGNORE` elsewhere.

    Returns:
        labels uint8 (h, w), and the probability of what was chosen, float32 (h, w).
    """
    if len(probabilities) == 1:
        confidence = probabilities[0]
        labels = torch.where(confidence >= 0.5, 0, IGNORE)
        confidence = torch.maximum(confidence, 1 - confidence)
    else:
        confidence, labels = probabilities.max(dim=0)
    return labels.to(torch.uint8).cpu().numpy(), confidence.float().cpu().numpy()
