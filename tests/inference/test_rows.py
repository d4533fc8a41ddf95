"""An image that is read by rows gives what its array gives, from any row on, and only a few rows of it are held."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from maskwright.core.plan import SuperpixelsPlan
from maskwright.inference import reach
from maskwright.inference.prepared_image import PreparedImage
from maskwright.ops.rows import ArrayRows
from maskwright.postprocess.superpixel_filter import SuperpixelFilter

if TYPE_CHECKING:
    from tests.inference.conftest import Make
    from torch import nn

    from maskwright.inference import Predictor
    from maskwright.tasks import Block


@dataclass
class Read:
    """An array that notes which rows are asked for."""

    array: np.ndarray
    asked: list[tuple[int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.size, self.channels, self.dtype = self.array.shape[:2], self.array.shape[2], self.array.dtype

    def rows(self, start: int, stop: int) -> np.ndarray:
        self.asked.append((start, stop))
        return self.array[start:stop]


def image(height: int = 230, width: int = 170, dtype: str = "uint8") -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(dtype)


def holed(pixels: np.ndarray) -> np.ndarray:
    gone = np.zeros(pixels.shape, np.bool_)
    gone[40:130, 20:90] = True
    gone[200:, :30] = True
    return np.ma.masked_array(pixels, gone)


def put_together(blocks: list[Block], size: tuple[int, int]) -> np.ndarray:
    maps = np.full((len(blocks[0].maps), *size), -1, np.float32)
    for block in blocks:
        assert (maps[:, block.rows, block.columns] == -1).all()
        maps[:, block.rows, block.columns] = block.maps.numpy()
    return maps


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("flip", [False, True])
def test_rows_give_what_the_array_gives(make: Make, small_net: nn.Module, masked: bool, flip: bool) -> None:
    pixels = holed(image()) if masked else image()
    predictor = make(small_net, tile=(64, 64), flip=flip)
    source = Read(pixels)
    found = put_together(list(predictor.blocks(source)), (230, 170))
    np.testing.assert_array_equal(found, predictor.maps(pixels))
    assert np.isnan(found).any() == masked
    assert max(stop - start for start, stop in source.asked) == 64


@pytest.mark.parametrize("scale", [0.37, 1.6])
@pytest.mark.parametrize("masked", [False, True])
def test_other_scales_are_close(make: Make, small_net: nn.Module, scale: float, masked: bool) -> None:
    pixels = holed(image()) if masked else image()
    predictor = make(small_net, tile=(64, 64), scale=scale)
    found, wanted = put_together(list(predictor.blocks(Read(pixels))), (230, 170)), predictor.maps(pixels)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(wanted))
    np.testing.assert_allclose(np.nan_to_num(found), np.nan_to_num(wanted), atol=0.05)  # one of 255 levels


@pytest.mark.parametrize("scale", [1.0, 0.6, 1.6])
@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5])
def test_a_prediction_can_begin_at_any_row(make: Make, small_net: nn.Module, scale: float, overlap: float) -> None:
    predictor = make(small_net, tile=(64, 64), scale=scale, overlap=overlap)
    source = ArrayRows(image())
    blocks = list(predictor.blocks(source))
    for start in sorted({block.rows.start for block in blocks}):
        rest = list(predictor.blocks(source, start))
        wanted = [block for block in blocks if block.rows.start >= start]
        assert [(block.rows, block.columns) for block in rest] == [(block.rows, block.columns) for block in wanted]
        for ours, theirs in zip(rest, wanted, strict=True):
            assert torch.equal(ours.maps, theirs.maps)


def test_nothing_is_left_after_the_last_row(make: Make, small_net: nn.Module) -> None:
    assert list(make(small_net, tile=(64, 64)).blocks(ArrayRows(image()), 230)) == []


@pytest.mark.parametrize("start", [0, 60])
def test_a_postprocessor_reads_rows(make: Make, small_net: nn.Module, start: int) -> None:
    follows = SuperpixelFilter(SuperpixelsPlan(side=5))
    predictor = make(small_net, tile=(64, 64)).with_postprocessor(follows)
    pixels = holed(image(100, 90))
    found = put_together(list(predictor.blocks(Read(pixels), start)), (100, 90))
    np.testing.assert_array_equal(found, predictor.maps(pixels))


def test_a_reader_that_fails_is_heard(make: Make, small_net: nn.Module) -> None:
    class Torn(Read):
        def rows(self, start: int, stop: int) -> np.ndarray:
            if stop > 150:
                raise OSError("torn")
            return super().rows(start, stop)

    with pytest.raises(OSError, match="torn"):
        list(make(small_net, tile=(64, 64)).blocks(Torn(image())))


def wide(predictor: Predictor, pixels: np.ndarray) -> Any:
    return reach.measured(PreparedImage(Read(pixels), predictor.card.data), predictor.engine, predictor.card)


def test_a_network_that_sees_two_pixels_has_no_reach(make: Make, small_net: nn.Module) -> None:
    found = wide(make(small_net, tile=(256, 256)), image(600, 600))
    assert found.pixels in {0, 32}
    assert found.agreement >= reach.AGREEMENT


def test_a_network_that_sees_far_reaches_far(make: Make) -> None:
    net = torch.nn.Conv2d(3, 2, (1, 81), padding=(0, 40), bias=False)  # 40 pixels to either side, all alike
    with torch.no_grad():
        net.weight[0].fill_(0.02)
        net.weight[1].fill_(-0.02)
    found = wide(make(net, classes=2, tile=(256, 256)), image(600, 600))
    assert found.pixels == 64  # at 32 pixels, those as far as 40 still change
    assert found.agreement == 1


def test_the_reach_ends_at_a_quarter_of_the_tile(make: Make) -> None:
    class Mean(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.cat([x[:, :1] - x[:, :1].mean(), 0 * x[:, :1] + 0.01], dim=1)

    pixels = image(600, 600)
    pixels[:, ::2] = 40
    found = wide(make(Mean(), classes=2, tile=(256, 256)), pixels)
    assert found.pixels <= 64
