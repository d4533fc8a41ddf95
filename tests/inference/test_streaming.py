"""Networks by rows: layer by layer and as a whole they give what the whole image gives, with bounded memory."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from maskwright import models
from maskwright.inference.streaming.convolving import Sweep, convolved
from maskwright.inference.streaming.fusion import PaddedConvolution
from maskwright.inference.streaming.layers import Convolution
from maskwright.inference.streaming.network import RowNetwork
from maskwright.inference.streaming.panels import cut
from maskwright.inference.streaming.resampling import Upsample
from maskwright.inference.streaming.schedule import Schedule
from maskwright.inference.streaming.stream import Stream
from maskwright.inference.streaming.tracing import NotStreamableError
from maskwright.models.layers.blocks import StridedPointwise

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.usefixtures("one_thread")


class SameSize(nn.Module):
    """A layer between an input and an output of one size, since only whole networks are traced."""

    def __init__(self, layer: nn.Module, factor: int = 1) -> None:
        super().__init__()
        self.layer, self.factor = layer, factor

    def forward(self, x: Tensor) -> Tensor:
        """Return the result of the layer at the size of `x`."""
        y = self.layer(x)
        if self.factor > 1:
            y = nn.functional.interpolate(y, scale_factor=self.factor, mode="nearest")
        return y


def by_rows(network: Callable[[Tensor], Tensor], image: Tensor, rows: int, start: int = 0, small: int = 64) -> Tensor:
    """Return the maps of an image from the row `start` on, in turns of `rows`."""
    found, _ = RowNetwork.of(network, torch.zeros(1, image.shape[1], small, small))
    schedule = Schedule(found, image.shape[2], rows)
    results = []
    for stages in (1, 2, 3):
        stream = Stream(schedule, schedule.turn_for(start) if start else schedule.turns.start, stages)
        parts = []
        for band in stream.bands():
            top, maps = stream.turn(image[:, :, slice(*band)].clone())
            if maps is not None and top >= start:
                parts.append(maps)
        results.append(torch.cat(parts, 2))
    assert all(torch.equal(result, results[0]) for result in results)
    return results[0]


def picture(height: int, width: int = 32, channels: int = 3) -> Tensor:
    return torch.from_numpy(np.random.default_rng(height).normal(size=(1, channels, height, width))).float()


class Clamp(nn.Module):
    """Holds values between limits."""

    def __init__(self, **limits: float | Tensor) -> None:
        super().__init__()
        self.limits = limits

    def forward(self, x: Tensor) -> Tensor:
        """Return the same shape."""
        return x.clamp(**self.limits)  # type: ignore[arg-type]


class Reduced(nn.Module):
    """Reduces a stack of two convolutions to one map."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.parts, self.how = nn.ModuleList([nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(3, 4, 1)]), how

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, 4, H, W)."""
        stack = torch.stack([part(x) for part in self.parts])
        return stack.sum(0) if self.how == "sum" else stack.amax(dim=0)


CONVOLUTIONS = {
    "expanded": [nn.Conv2d(3, 6, 1), nn.ReLU6(), nn.Conv2d(6, 6, 5, 2, 2, groups=6), nn.ReLU()],
    "expanded, padded at one side": [nn.Conv2d(3, 6, 1), nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(6, 4, 3, 2)],
}
"""Those that `fusion` makes one step of, or two."""

LAYERS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "3x9, dilated": (lambda: nn.Conv2d(3, 4, (3, 9), padding=(2, 8), dilation=2), 1),
    "7x3, dilated": (lambda: nn.Conv2d(3, 4, (7, 3), padding=(6, 2), dilation=2), 1),
    "expanded": (lambda: nn.Sequential(*CONVOLUTIONS["expanded"]), 2),
    "expanded, padded at one side": (lambda: nn.Sequential(*CONVOLUTIONS["expanded, padded at one side"]), 2),
    "5x5, dilated": (lambda: nn.Conv2d(3, 4, 5, padding=6, dilation=3), 1),
    "7x7 with a stride": (lambda: nn.Conv2d(3, 4, 7, stride=4, padding=3), 4),
    "depthwise": (lambda: nn.Conv2d(3, 3, 3, padding=1, groups=3), 1),
    "padded at one side": (lambda: nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(3, 4, 3, stride=2)), 2),
    "repeated edges": (lambda: nn.Sequential(nn.ReplicationPad2d((1, 2, 2, 1)), nn.Conv2d(3, 4, 4)), 1),
    "every second pixel": (lambda: StridedPointwise(3, 4, 1, 2), 2),
    "sum of a stack": (lambda: Reduced("sum"), 1),
    "maximum of a stack": (lambda: Reduced("amax"), 1),
    "maximum": (lambda: nn.MaxPool2d(3, 2, 1), 2),
    "average": (lambda: nn.AvgPool2d(5, 1, 2, count_include_pad=False), 1),
    "average with zeros": (lambda: nn.AvgPool2d(3, 2, 1), 2),
    "average of pairs": (lambda: nn.AvgPool2d(2, ceil_mode=True, count_include_pad=False), 2),
    "transposed": (lambda: nn.Sequential(nn.Conv2d(3, 4, 2, 2), nn.ConvTranspose2d(4, 2, 4, 2, 1)), 1),
    "transposed, apart": (lambda: nn.Sequential(nn.Conv2d(3, 4, 2, 2), nn.ConvTranspose2d(4, 2, 2, 2)), 1),
    "bilinear": (lambda: nn.Sequential(nn.Conv2d(3, 4, 4, 4), nn.Upsample(scale_factor=4, mode="bilinear")), 1),
    "norm": (lambda: nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True)), 1),
}


@pytest.mark.parametrize("name", LAYERS)
@given(rows=st.integers(1, 9), height=st.integers(2, 12), start=st.integers(0, 6))
@settings(deadline=None, max_examples=15)
def test_each_layer_gives_the_rows_of_the_whole(name: str, rows: int, height: int, start: int) -> None:
    torch.manual_seed(0)
    make, factor = LAYERS[name]
    network = SameSize(make(), factor).eval()
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.weight)
            nn.init.normal_(layer.running_mean)
            nn.init.uniform_(layer.running_var)
    image = picture(8 * height)
    with torch.no_grad():
        whole = network(image.clone())
    torch.testing.assert_close(by_rows(network, image, 8 * rows), whole, atol=1e-5, rtol=1e-5)
    first = min(start * 8 * rows, 8 * height - 8) // (8 * rows) * 8 * rows
    torch.testing.assert_close(by_rows(network, image, 8 * rows, first), whole[:, :, first:], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", LAYERS)
@given(count=st.integers(1, 4), width=st.integers(5, 12))
@settings(deadline=None, max_examples=10)
def test_panels_give_the_columns_of_the_whole(name: str, count: int, width: int) -> None:
    torch.manual_seed(0)
    make, factor = LAYERS[name]
    network = SameSize(make(), factor).eval()
    image = picture(40, 8 * width)
    with torch.no_grad():
        whole = network(image.clone())
    found, _ = RowNetwork.of(network, torch.zeros(1, 3, 64, 64))
    panels = cut(found, 8 * width, count, 8)
    assert [panel.inner.start for panel in panels[1:]] == [panel.inner.stop for panel in panels[:-1]]
    assert (panels[0].inner.start, panels[-1].inner.stop) == (0, 8 * width)
    for inner, outer in panels:
        assert outer.start % 8 == outer.stop % 8 == 0
        maps = by_rows(network, image[..., outer.start : outer.stop], 16)
        part = maps[..., inner.start - outer.start : inner.stop - outer.start]
        torch.testing.assert_close(part, whole[..., inner.start : inner.stop], atol=1e-5, rtol=1e-5)


def test_columns_beside_a_panel_by_hand() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, (1, 5), (2, 2), (0, 2)), nn.Upsample(scale_factor=2))
    found, _ = RowNetwork.of(network, torch.zeros(1, 3, 64, 64))
    # One column more than the panel for what enlarges it: 15 to 32 come from columns 7 to 16 of half as many, and
    # these from 2 * 7 - 2 to 2 * 16 + 2; then whole pairs.
    assert cut(found, 64, 4, 2)[1] == (range(16, 32), range(12, 36))


def test_layers_are_fused() -> None:
    kinds = {}
    for name in ("expanded", "expanded, padded at one side", "padded at one side"):
        found, _ = RowNetwork.of(SameSize(LAYERS[name][0](), 2).eval(), torch.zeros(1, 3, 64, 64))
        first, enlarged = found.steps
        assert isinstance(first.layer, PaddedConvolution)
        assert isinstance(enlarged.layer, Upsample)
        kinds[name] = first.layer
        assert first.inputs == (0,)
    assert isinstance(kinds["expanded"].expansion, Convolution)
    assert kinds["expanded"].expansion.activation == (0, 6)
    assert kinds["expanded"].convolution.activation == (0, math.inf)
    assert kinds["padded at one side"].expansion is None


@pytest.mark.parametrize(
    ("activation", "limits"),
    [
        (nn.ReLU(), (0, math.inf)),
        (nn.ReLU(inplace=True), (0, math.inf)),
        (nn.ReLU6(), (0, 6)),
        (nn.Hardtanh(), (-1, 1)),
        (nn.Hardtanh(-2, 3), (-2, 3)),
        (Clamp(max=0.5), (-math.inf, 0.5)),
        (Clamp(min=-0.25), (-0.25, math.inf)),
        (Clamp(min=torch.tensor(-0.25)), None),
        (nn.Sigmoid(), None),
    ],
    ids=str,
)
@pytest.mark.parametrize("channels_last", [True, False])
@pytest.mark.parametrize("precision", [torch.float32, torch.float64])
def test_activations_are_part_of_a_convolution(
    activation: nn.Module, limits: tuple[float, float] | None, precision: torch.dtype, *, channels_last: bool
) -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), activation).eval().to(precision)
    image = picture(70, 33).to(precision)
    image = image.contiguous(memory_format=torch.channels_last) if channels_last else image
    with torch.no_grad():
        whole = network(image.clone())
        found, _ = RowNetwork.of(network, torch.zeros(1, 3, 64, 64, dtype=precision))
    assert len(found.steps) == (1 if limits else 2)
    if limits:
        assert found.steps[0].layer.activation == limits
    schedule = Schedule(found, 70, 16)
    stream = Stream(schedule, schedule.turns.start)
    maps = [part for band in stream.bands() if (part := stream.turn(image[:, :, slice(*band)])[1]) is not None]
    torch.testing.assert_close(torch.cat(maps, 2), whole, atol=1e-5, rtol=1e-5)


def test_tall_turns_make_wide_maps_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    expanded = nn.Sequential(nn.Conv2d(3, 64, 1), nn.Conv2d(64, 2, 5, 2, 2))
    network, image = SameSize(expanded, 2).eval(), picture(160)
    with torch.no_grad():
        whole = network(image.clone())
    found, _ = RowNetwork.of(network, torch.zeros(1, 3, 64, 64))
    (step, _), heights = found.steps, []

    def seen(x: Tensor, weight: Tensor, *others: Any) -> Tensor:
        if weight.shape[2] == 1:
            heights.append(x.shape[2])
        return convolved(x, weight, *others)

    monkeypatch.setattr("maskwright.inference.streaming.layers.convolved", seen)
    schedule = Schedule(found, 160, 160)
    stream = Stream(schedule, schedule.turns.start)
    maps = [part for band in stream.bands() if (part := stream.turn(image[:, :, slice(*band)])[1]) is not None]
    torch.testing.assert_close(torch.cat(maps, 2), whole, atol=1e-5, rtol=1e-5)
    # Sixteen rows at a time of the result, which has half as many as the image; its kernel has five, at a stride of 2.
    assert max(heights) == step.inner_rows == 15 * 2 + 5
    assert len(heights) >= 5
    at_once = replace(found, steps=(replace(step, inner_rows=1000), found.steps[1]))
    more = Schedule(at_once, 640, 320).peak_bytes(100) - Schedule(found, 640, 320).peak_bytes(100)
    assert more == 4 * 100 * 64 * (159 * 2 + 5 - 35)


@given(
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    dilation=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    groups=st.sampled_from([1, 2, 4]),
    channels=st.integers(1, 3),
    bias=st.booleans(),
    last=st.booleans(),
)
@settings(deadline=None, max_examples=60)
def test_convolutions_are_those_of_torch(
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
    groups: int,
    channels: int,
    *,
    bias: bool,
    last: bool,
) -> None:
    x = picture(11, 9, groups * channels)
    x[0, 0, 4, 4] = torch.nan
    x = x.contiguous(memory_format=torch.channels_last) if last else x
    layer = nn.Conv2d(groups * channels, 2 * groups, kernel, stride, padding, dilation, groups, bias)
    arguments = (x, layer.weight.detach(), None if layer.bias is None else layer.bias.detach())
    with torch.no_grad():
        found = convolved(*arguments, Sweep(stride, padding, dilation, groups))
        torch.testing.assert_close(found, layer(x), equal_nan=True)


def test_another_precision_is_left_to_torch() -> None:
    x, weight = picture(9).double(), torch.randn(2, 3, 3, 3)
    sweep = Sweep((1, 1), (1, 1), (1, 1), 1)
    assert convolved(x, weight.double(), None, sweep).dtype == torch.float64
    with torch.autocast("cpu", torch.bfloat16):
        assert convolved(x.float(), weight, None, sweep).dtype == torch.bfloat16


def test_a_map_that_two_layers_read_is_not_fused() -> None:
    single, window = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 3, padding=1)

    def network(x: Tensor) -> Tensor:
        middle = single(x)
        return window(middle) + middle.relu()

    image = picture(40)
    with torch.no_grad():
        torch.testing.assert_close(by_rows(network, image, 8), network(image), atol=1e-5, rtol=1e-5)


def test_the_memory_that_a_turn_is_said_to_take() -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 1), nn.MaxPool2d(3, 1, 1), nn.Conv2d(8, 2, 1)).eval()
    found, _ = RowNetwork.of(network, torch.zeros(1, 3, 64, 64))
    # Kept: two rows of eight channels. In a turn of ten rows: three channels of the image and the eight; then the
    # eight, the eight pooled, and the twelve rows of eight that are pooled; that is most. Four bytes each.
    assert Schedule(found, 640, 10).peak_bytes(100) == 4 * 100 * (2 * 8 + 10 * 8 + 10 * 8 + 12 * 8)
    # In two stages, the first one holds three channels of the image, a copy of them, and the eight. The second
    # keeps two rows of eight channels, and holds the eight, the eight pooled, and the twelve rows of eight that are
    # pooled; and ten more rows of the eight wait for it.
    assert [len(part) for part in found.parts(2)] == [1, 2]
    first, second = 10 * 3 + 10 * 3 + 10 * 8, 2 * 8 + 10 * 8 + 10 * 8 + 12 * 8
    assert Schedule(found, 640, 10, stages=2).peak_bytes(100) == 4 * 100 * (first + second + 10 * 8)


@pytest.mark.parametrize("name", ["swiftnet", "unet", "deeplabv3plus", "pspnet", "upernet", "lraspp"])
def test_networks_give_the_maps_of_the_whole_image(name: str) -> None:
    torch.manual_seed(0)
    network = models.create(name, classes=5).eval()
    network.set_window((96, 64))
    image = picture(416, 64)
    with torch.no_grad():
        whole = network(image)
    found = by_rows(network, image, 64, small=128)
    torch.testing.assert_close(found, whole, atol=1e-5 * float(whole.abs().max()), rtol=1e-4)
    assert torch.equal(by_rows(network, image, 64, 256, small=128), found[:, :, 256:])


@pytest.mark.parametrize("padding", [nn.ZeroPad2d, nn.ReplicationPad2d])
def test_turns_that_want_nothing_but_padding(padding: type[nn.Module]) -> None:
    network = nn.Sequential(padding((0, 3, 4, 3)), nn.Conv2d(3, 2, 8, padding=(0, 2), bias=True)).eval()
    image = picture(16)
    with torch.no_grad():
        whole = network(image)
    assert whole.shape == (1, 2, 16, 32)
    for rows in (1, 2, 3, 5):
        torch.testing.assert_close(by_rows(network, image, rows), whole, atol=1e-5, rtol=1e-5)


class Shifted(nn.Module):
    """Adds a constant."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.register_buffer("values", torch.ones(shape))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.values


@pytest.mark.parametrize("shape", [(1, 3, 64, 1), (3, 1, 64), (64, 64), (64, 1), (64,)])
def test_constants_that_depend_on_the_place_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(NotStreamableError, match="add takes values that depend on the place"):
        RowNetwork.of(Shifted(*shape), torch.zeros(1, 3, 64, 64))
    for same in ((3, 1, 1), (1,), (1, 1)):
        RowNetwork.of(Shifted(*same), torch.zeros(1, 3, 64, 64))


@pytest.mark.parametrize(
    ("network", "why"),
    [
        (lambda x: nn.functional.pad(x[:, :, 1:], (0, 0, 1, 0)), "it crops its maps"),
        (lambda x: nn.functional.interpolate(x[:, :, 1::2, ::2], scale_factor=2), "it crops its maps"),
        (lambda x: torch.stack([x, x], 1).sum(1), "sum uses a stack of maps in a way that is not known"),
        (lambda x: torch.stack([x, x]).sum((0, 2)), "sum uses a stack of maps in a way that is not known"),
        (lambda x: [x], "its result is no map"),
    ],
)
def test_what_is_not_known_is_refused(network: Callable[[Tensor], Tensor], why: str) -> None:
    with pytest.raises(NotStreamableError, match=why):
        RowNetwork.of(network, torch.zeros(1, 3, 64, 64))


def test_statistics_of_the_image_are_refused() -> None:
    with pytest.raises(NotStreamableError, match="statistics of the image"):
        RowNetwork.of(nn.BatchNorm2d(3, track_running_stats=False).eval(), torch.zeros(1, 3, 64, 64))


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("swiftnet", "its operation `_adaptive_avg_pool2d` may need the whole image"),
        ("segformer", "may need the whole image|axes"),
    ],
)
def test_what_needs_the_whole_image_is_refused(name: str, why: str) -> None:
    network = models.create(name, classes=3).eval()
    with pytest.raises(NotStreamableError, match=why):
        RowNetwork.of(network, torch.zeros(1, 3, 128, 128))


def test_positions_that_were_learnt_are_refused() -> None:
    places = torch.randn(1, 3, 64, 64)
    with pytest.raises(NotStreamableError, match="depend on the place"):
        RowNetwork.of(lambda x: x + places, torch.zeros(1, 3, 64, 64))


def test_a_map_that_two_layers_read_is_not_overwritten() -> None:
    def network(x: Tensor) -> Tensor:
        before = x * 2
        kept = before + 1
        return before.relu_() + kept

    image = picture(40)
    torch.testing.assert_close(by_rows(network, image, 8), network(image))


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_a_view_of_kept_rows_does_not_change_with_them(rows: int) -> None:
    first = nn.Conv2d(3, 4, 1)
    below = nn.Sequential(nn.ZeroPad2d((4, 4, 0, 8)), nn.Conv2d(4, 2, 9))

    def network(x: Tensor) -> Tensor:
        middle = first(x)
        return below(middle) + middle[:, :2]  # read when eight later rows are there, whose places it gives up

    image = picture(40)
    with torch.no_grad():
        torch.testing.assert_close(by_rows(network, image, rows), network(image), atol=1e-5, rtol=1e-5)


def test_no_row_is_read_twice_and_few_are_kept() -> None:
    network = models.create("swiftnet", classes=3).eval()
    network.set_window((96, 96))
    found, _ = RowNetwork.of(network, torch.zeros(1, 3, 128, 128))
    most = []
    for height in (3200, 320_000):
        schedule = Schedule(found, height, 64)
        assert len(schedule.turns) == pytest.approx(height / 64, abs=15)
        ends = schedule.ends(schedule.turns.stop - 20)
        kept = schedule.kept(ends, schedule.network.steps)
        most.append({place: ends[place] - kept[place] for place in kept})
    assert most[0] == most[1]
    schedule = Schedule(found, 3200, 64)
    bands = list(Stream(schedule, schedule.turns.start).bands())
    assert bands[0][0] == 0
    assert bands[-1][1] == 3200
    assert all(one[1] == other[0] for one, other in itertools.pairwise(bands))
    assert max(stop - start for start, stop in bands) == 64
