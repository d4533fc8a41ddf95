"""What runs a network: prepared tiles in, raw maps out. Knows no image, no tile's place and no task.

`Engine` is all that the predictor asks for, so that another runtime can take the place of PyTorch.
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any, Protocol, cast

import torch

from maskwright.core.channels import emits_objects
from maskwright.core.errors import MaskwrightError
from maskwright.core.plan_section import image_size
from maskwright.models.device import resolve_device
from maskwright.models.folding import fold_batch_norms

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from maskwright.models.bundle import Card
    from maskwright.models.objects.base import Found, Segments
    from maskwright.models.segmenter import Segmenter

TILES_ON_DEVICE = 8


class Engine(Protocol):
    """A network with the processor that it runs on.

    Attributes:
        device: where `forward` leaves its result, as a torch device.
        batch: tiles that one call should get.
    """

    @property
    def device(self) -> torch.device:
        """Where the maps are."""

    @property
    def batch(self) -> int:
        """Tiles that one call should get."""

    def forward(self, tiles: NDArray[np.uint8]) -> Tensor:
        """Return raw maps float32 (N, C, h, w) of prepared tiles uint8 (N, h, w, channels)."""

    def objects(self, tiles: NDArray[np.uint8]) -> list[Found | Segments]:
        """Return the objects of each tile instead, for a network that emits objects."""


def method_of(engine: Engine, card: Card) -> Callable[[NDArray[np.uint8]], Any]:
    """Return what runs the network of a card: `forward`, or `objects` where it emits objects."""
    return engine.objects if emits_objects(card.channels) else engine.forward


class TakenInTurns:
    """An engine that several threads share: it runs for one of them at a time, with all of its own threads."""

    def __init__(self, engine: Engine) -> None:
        self.device, self.batch = engine.device, engine.batch
        self._engine, self._lock = engine, threading.Lock()

    def forward(self, tiles: NDArray[np.uint8]) -> Tensor:
        """See `Engine`."""
        with self._lock:
            return self._engine.forward(tiles)

    def objects(self, tiles: NDArray[np.uint8]) -> list[Found | Segments]:
        """See `Engine`."""
        with self._lock:
            return self._engine.objects(tiles)


class TorchEngine:
    """PyTorch, in evaluation mode, with deterministic kernels.

    Args:
        segmenter: taken over: its device, mode and output stride are changed, and its batch normalisations are folded
            (`models.folding`), so it can be neither trained nor saved. Give a copy of what is still needed.
        card: normalisation and output stride.
        device: to run on, as `models.device.resolve_device` takes it.
        fast: bfloat16 where PyTorch thinks it safe: about twice as fast on processors that have it; masks differ in
            some pixels at edges.

    Raises:
        MaskwrightError: no such device, or an output stride that the network cannot have.
    """

    def __init__(
        self, segmenter: Segmenter, card: Card, device: str | torch.device = "auto", *, fast: bool = False
    ) -> None:
        self.device = resolve_device(device)
        self.batch = 1 if self.device.type == "cpu" else TILES_ON_DEVICE  # one tile keeps a CPU busy
        self.fast = fast
        if card.predict.output_stride is not None:
            bring_to_stride(segmenter, card)
        if card.predict.window is not None:
            segmenter.set_window(image_size(card.predict.window, "predict.window"))
        self.segmenter = segmenter.to(self.device).eval()
        fold_batch_norms(self.segmenter, card.data.channels)
        self.segmenter.to(memory_format=torch.channels_last)
        shape = (1, card.data.channels, 1, 1)
        self._mean = torch.tensor(card.data.mean, device=self.device).reshape(shape)
        self._std = torch.tensor(card.data.std, device=self.device).reshape(shape)

    @torch.no_grad()
    def forward(self, tiles: NDArray[np.uint8]) -> Tensor:
        """Normalise the tiles and put them through the network; see `Engine`."""
        maps: Tensor = self._run(tiles)
        return maps.float()

    @torch.no_grad()
    def objects(self, tiles: NDArray[np.uint8]) -> list[Found | Segments]:
        """Do the same with a network that emits objects."""
        return cast("list[Found | Segments]", self._run(tiles))

    @torch.no_grad()
    def features(self, tiles: NDArray[np.uint8]) -> Tensor:
        """Return what the backbone sees in tiles uint8 (N, h, w, channels), one row a tile.

        Returns:
            float32 (N, F): mean and standard deviation of each channel over the tile, of the second level and the last
            but one.
        """
        with self.precision():
            levels = self.segmenter.levels(self.pixels(tiles))
        chosen = [levels[place].float() for place in sorted({min(1, len(levels) - 1), max(len(levels) - 2, 0)})]
        parts = [part for level in chosen for part in (level.mean((2, 3)), level.std((2, 3), correction=0))]
        return torch.cat(parts, 1).cpu()

    def pixels(self, tiles: NDArray[np.uint8]) -> Tensor:
        """Return tiles uint8 (N, h, w, channels) as the network takes them, normalised (N, channels, h, w)."""
        pixels = torch.from_numpy(tiles).to(self.device).permute(0, 3, 1, 2).float()
        return pixels.sub_(self._mean).div_(self._std).contiguous(memory_format=torch.channels_last)

    def _run(self, tiles: NDArray[np.uint8]) -> Any:
        pixels = self.pixels(tiles)
        with self.precision():
            return self.segmenter(pixels)

    @contextlib.contextmanager
    def precision(self) -> Iterator[None]:
        """Fix the arithmetic: the same kernels every time, and no TF32 unless speed was asked for."""
        with contextlib.ExitStack() as stack:
            if self.device.type == "cuda":
                exact = torch.backends.cudnn.flags(
                    enabled=True, benchmark=False, deterministic=True, allow_tf32=self.fast
                )
                stack.enter_context(exact)
            stack.enter_context(torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.fast))
            yield


def bring_to_stride(segmenter: Segmenter, card: Card) -> None:
    """Set the output stride that a card names.

    Raises:
        MaskwrightError: the network cannot have it.
    """
    stride = card.predict.output_stride
    assert stride is not None
    try:
        segmenter.set_output_stride(stride)
    except MaskwrightError as error:
        raise MaskwrightError(f"{card.model.name} cannot have the output stride {stride}: {error}") from None
