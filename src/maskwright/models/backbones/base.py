"""The interface of a backbone: image to feature pyramid, finest level first. Knows no particular network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, cast

from torch import nn
from torch.utils.checkpoint import checkpoint

from maskwright.core.errors import MaskwrightError
from maskwright.models.backbones.dilation import PROBE, STRIDES, Site, Unfit, arrange, shapes_of, survey
from maskwright.models.weights import load_exactly, read_network

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from torch import Tensor


class Backbone(nn.Module, ABC):
    """Base class: `forward(x (N, C, H, W))` returns one feature map per level, finest first.

    Decoders use only the attributes below, so any backbone fits any decoder that finds the strides it needs. H and W
    are lengths returned by `fitted` (`Segmenter` ensures this), multiples of the largest reduction; level i is then
    exactly (N, channels[i], H / reductions[i], W / reductions[i]), unless `valid` is set.

    Attributes:
        in_channels: C.
        channels: of each level.
        reductions: stride of each level relative to the image, ascending; a dilated network repeats its last one.
        multi_grid: see `dilation.arrange`.
        normalised: whether its convolutions are batch normalised; a decoder that continues it may do the same.
        valid: the convolutions have no padding: each level has lost a margin; `lengths` returns the sizes.
        checkpointing: see `set_gradient_checkpointing`.
        settled: the output stride is built in and cannot be changed, not even to a coarser one.
        notes: what was done to read the weights that it started from.
    """

    normalised = True
    valid = False
    checkpointing = False
    settled = False
    notes: tuple[str, ...] = ()

    def __init__(self, in_channels: int, channels: Sequence[int], reductions: Sequence[int]) -> None:
        super().__init__()
        assert len(channels) == len(reductions)
        assert list(reductions) == sorted(reductions)
        self.in_channels = in_channels
        self.channels = tuple(channels)
        self.reductions = tuple(reductions)
        self.multi_grid: tuple[int, ...] = ()
        self._native = self.reductions
        self._sites: list[Site] = []

    @abstractmethod
    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the feature pyramid of `x` (N, C, H, W): one map (N, C_i, H_i, W_i) per level."""

    def run_stages(self, stages: Iterable[nn.Module], x: Tensor) -> list[Tensor]:
        """Pass `x` (N, C, H, W) through the stages in turn, and return the map after each."""
        levels = []
        for stage in stages:
            if self.checkpointing and self.training:
                x = cast("Tensor", checkpoint(stage, x, use_reentrant=False))
            else:
                x = stage(x)
            levels.append(x)
        return levels

    def set_gradient_checkpointing(self, enable: bool) -> None:
        """Keep only the input of each stage, and recompute the rest in the backward pass; or stop doing so."""
        self.checkpointing = enable

    def fitted(self, length: int) -> int:
        """Return the smallest height or width, `length` or more, that this network divides without remainder."""
        step = self.reductions[-1]
        return (length + step - 1) // step * step

    def lengths(self, length: int) -> list[int]:
        """Return the height or width of each level, for a fitted one of the image."""
        return [length // step for step in self.reductions]

    def set_output_stride(self, output_stride: int, multi_grid: Sequence[int] | None = None) -> None:
        """Replace strides by dilations, in place, so that no level is coarser than `output_stride`; keeps the weights.

        Args:
            output_stride: 4, 8, 16 or 32; one beyond the network's own changes nothing, unless it is `settled`.
            multi_grid: see `dilation.arrange`; None keeps the current one.

        Raises:
            MaskwrightError: an invalid value, or a network whose strides are not in its convolutions.
        """
        grid = self.multi_grid if multi_grid is None else tuple(multi_grid)
        if output_stride not in STRIDES or min(grid, default=1) < 1:
            raise MaskwrightError(
                f"output_stride is {output_stride} and multi_grid {list(grid)}: output_stride must be one of "
                f"{', '.join(map(str, STRIDES))}, and every number of multi_grid 1 or more"
            )
        if self.settled:
            if (output_stride, grid) != (self.reductions[-1], self.multi_grid):
                raise self._cannot(output_stride, grid, "its stride is built in")
            return
        before = self.reductions, self.multi_grid
        try:
            self._sites = self._sites or survey(self, self.in_channels, PROBE * self._native[-1])
            self._arrange(tuple(min(step, output_stride) for step in self._native), grid)
            if not self._keeps_its_promise():
                self._arrange(*before)
                raise Unfit("not all of its strides are in convolutions")
        except Unfit as error:
            raise self._cannot(output_stride, grid, str(error)) from None

    def _cannot(self, output_stride: int, multi_grid: tuple[int, ...], why: str) -> MaskwrightError:
        grid = f" with multi_grid {list(multi_grid)}" if multi_grid else ""
        cure = "multi_grid=[] and, if that is not enough, " if multi_grid else ""
        return MaskwrightError(
            f"the output stride of this backbone cannot be {output_stride}{grid}, because {why}: set {cure}"
            f"output_stride={self.reductions[-1]}, or choose resnet18"
        )

    def _arrange(self, reductions: tuple[int, ...], multi_grid: tuple[int, ...]) -> None:
        arrange(self._sites, reductions[-1], multi_grid)
        self.reductions, self.multi_grid = reductions, multi_grid

    def _keeps_its_promise(self) -> bool:
        side = PROBE * self._native[-1]
        sides = [side // step for step in self.reductions]
        wanted = [(width, length, length) for width, length in zip(self.channels, sides, strict=True)]
        try:
            return shapes_of(self, self.in_channels, side) == wanted
        except RuntimeError:
            return False


def load_backbone(backbone: Backbone, path: Path) -> None:
    """Load a file of backbone weights, and note on the backbone what was done.

    Raises:
        MaskwrightError: unreadable, or it does not fit.
    """
    tensors, backbone.notes = read_network(path, backbone.state_dict().keys())
    load_exactly(backbone, tensors, str(path))


def pyramid_levels(reductions: Sequence[int], finest: int = 1) -> tuple[int, ...]:
    """Choose one level per stride: the deepest of each, none finer than `finest`, finest first.

    Args:
        reductions: of a backbone, ascending.
        finest: smallest stride wanted; if the backbone has none that fine, its own finest comes first.

    Returns:
        indices into the backbone's levels; never empty.
    """
    deepest = {reduction: index for index, reduction in enumerate(reductions) if reduction >= finest}
    return tuple(deepest.values()) or (len(reductions) - 1,)


def ladder(reductions: Sequence[int], finest: int) -> tuple[int, list[tuple[int, int | None]]]:
    """Plan the steps of a decoder: one per level of the backbone, then one per halving of the stride, down to `finest`.

    Args:
        reductions: of the backbone, ascending.
        finest: stride to end at, or the next coarser one that halving leads to.

    Returns:
        the deepest level, and for each step its stride and the level of that stride, None if there is none.
    """
    *fine, deepest = pyramid_levels(reductions, finest)
    steps: list[tuple[int, int | None]] = [(reductions[level], level) for level in reversed(fine)]
    stride = steps[-1][0] if steps else reductions[deepest]
    while stride >= 2 * finest:
        stride //= 2
        steps.append((stride, None))
    return deepest, steps
