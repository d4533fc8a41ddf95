"""ReNet, ReSeg: the sweeps against a slow loop, and the layers against the authors' published settings."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from tests.models.references import awake, weights_of
from torch import nn

from maskwright import models
from maskwright.core.errors import MaskwrightError
from maskwright.models.backbones import patches, timm_backbone
from maskwright.models.layers.renet import CELLS, ReNet

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    Build = Callable[..., models.Segmenter]
    Weights = tuple[Tensor, Tensor, Tensor, Tensor]


def _vanilla(w: Weights, x: Tensor, state: list[Tensor]) -> list[Tensor]:
    return [torch.tanh(w[0] @ x + w[2] + w[1] @ state[0] + w[3])]


def _lstm(w: Weights, x: Tensor, state: list[Tensor]) -> list[Tensor]:
    """Hochreiter & Schmidhuber 1997 with forget gates; torch's order of gates."""
    i, f, g, o = (w[0] @ x + w[2] + w[1] @ state[0] + w[3]).chunk(4)
    memory = torch.sigmoid(f) * state[1] + torch.sigmoid(i) * torch.tanh(g)
    return [torch.sigmoid(o) * torch.tanh(memory), memory]


def _gru(w: Weights, x: Tensor, state: list[Tensor]) -> list[Tensor]:
    """Cho et al. 2014, the reset gate after the product, as torch has it."""
    seen, kept = (w[0] @ x + w[2]).chunk(3), (w[1] @ state[0] + w[3]).chunk(3)
    reset, update = torch.sigmoid(seen[0] + kept[0]), torch.sigmoid(seen[1] + kept[1])
    return [(1 - update) * torch.tanh(seen[2] + reset * kept[2]) + update * state[0]]


STEPS = {"vanilla": _vanilla, "lstm": _lstm, "gru": _gru}


def _line(cell: nn.RNNBase, step: Callable[..., list[Tensor]], line: list[Tensor], backwards: bool) -> list[Tensor]:
    """One direction of one bidirectional layer along one line, position by position."""
    end = "_l0_reverse" if backwards else "_l0"
    weights = [getattr(cell, name + end) for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    state = [torch.zeros(cell.hidden_size)] * 2
    result = []
    for x in reversed(line) if backwards else line:
        state = step(weights, x, state)
        result.append(state[0])
    return result[::-1] if backwards else result


def _slow(layer: ReNet, cell: str, x: Tensor) -> Tensor:
    """Visin et al. 2015, written down as it reads; `x` is one map (C, H, W), a multiple of the patch."""
    size = layer.patch
    rows, columns = x.shape[1] // size, x.shape[2] // size
    grid = [
        [x[:, i * size : i * size + size, j * size : j * size + size].flatten() for j in range(columns)]
        for i in range(rows)
    ]
    for sweep, vertical in ((layer.vertical, True), (layer.horizontal, False)):
        lines = [[grid[i][j] for i in range(rows)] for j in range(columns)] if vertical else grid
        swept = []
        for line in lines:
            both = [_line(sweep, STEPS[cell], line, backwards) for backwards in (False, True)]
            swept.append([torch.cat(pair) for pair in zip(*both, strict=True)])
        grid = [[swept[j][i] for j in range(columns)] for i in range(rows)] if vertical else swept
    return torch.stack([torch.stack(row) for row in grid]).permute(2, 0, 1)


@pytest.mark.parametrize("cell", sorted(CELLS))
@pytest.mark.parametrize("patch", [1, 2])
def test_a_sweep_is_the_slow_loop(cell: str, patch: int) -> None:
    layer = ReNet(3, 5, patch, cell)
    for weight in layer.parameters():
        nn.init.normal_(weight, std=0.5)
    x = torch.randn(2, 3, 6, 8)
    expected = torch.stack([_slow(layer, cell, image) for image in x])
    torch.testing.assert_close(layer(x), expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(layer(x.contiguous(memory_format=torch.channels_last)), expected, rtol=1e-5, atol=1e-6)


def test_every_position_sees_every_other_after_one_layer() -> None:
    layer, x = ReNet(2, 4), torch.randn(1, 2, 5, 7, requires_grad=True)
    for place in [(0, 0), (4, 6), (2, 3)]:
        seen = torch.autograd.grad(layer(x)[0, :, *place].square().sum(), x)[0]
        assert (seen.abs().sum(1) > 0).all()


def test_patches_continue_the_edge() -> None:
    layer, x = ReNet(2, 4, 3), torch.randn(1, 2, 7, 8)
    whole = torch.nn.functional.pad(x, (0, 1, 0, 2), mode="replicate")
    assert layer(x).shape == (1, 8, 3, 3)
    assert torch.equal(layer(x), layer(whole))


def test_cells_start_orthogonal_and_an_lstm_remembers() -> None:
    sweep = ReNet(3, 8, cell="lstm").vertical
    for gate in sweep.weight_hh_l0.split(8):
        torch.testing.assert_close(gate @ gate.T, torch.eye(8), rtol=0, atol=1e-5)
    assert [part.mean().item() for part in sweep.bias_ih_l0.detach().split(8)] == [0, 1, 0, 0]


def test_reseg_has_the_layers_of_its_authors() -> None:
    """github.com/fvisin/reseg, evaluate_camvid_with_cb.py: conv3_3; dim-proj 100, 100; patches 1x1; 50, 50 of 2x2.

    The parameters of VGG-16 up to conv3_3 are those of Simonyan & Zisserman 2015, table 1; a GRU has three gates of
    I + H weights a unit (Cho et al. 2014), and torch two biases a gate.
    """
    pytest.importorskip("timm")
    with torch.device("meta"):
        model = models.create("reseg", 11, backbone="timm:vgg16")
    widths = [3, 64, 64, 128, 128, 256, 256, 256]
    assert weights_of(model.backbone) == sum(9 * a * b + b for a, b in itertools.pairwise(widths))
    assert (model.backbone.reductions, model.backbone.channels) == ((1, 2, 4), (64, 128, 256))
    sweeps = [sweep for layer in model.decoder.sweeps for sweep in (layer.vertical, layer.horizontal)]
    assert [type(sweep) for sweep in sweeps] == [nn.GRU] * 4
    assert [weights_of(sweep) for sweep in sweeps] == [2 * 3 * 100 * (i + 100 + 2) for i in (256, 200, 200, 200)]
    steps = [layer for layer in model.decoder.upsampling if isinstance(layer, nn.ConvTranspose2d)]
    table = [(layer.in_channels, layer.out_channels, layer.kernel_size, layer.stride) for layer in steps]
    assert table == [(200, 50, (2, 2), (2, 2)), (50, 50, (2, 2), (2, 2))]
    assert model.native_stride == 1
    assert weights_of(model) == 1735488 + 214800 + 3 * 181200 + 40000 + 10000 + 2 * 2 * 50 + 51 * 11


@pytest.mark.parametrize("name", ["reseg", "renet"])
@pytest.mark.parametrize("cell", sorted(CELLS))
def test_over_their_own_backbones(name: str, cell: str) -> None:
    options: dict[str, Any] = {"widths": (6, 8), "depths": (1, 1)} if name == "reseg" else {}
    model = models.create(name, 3, 2, cell=cell, units=(5, 4), filters=(6, 7), **options)
    assert model.native_stride == (2 if name == "reseg" else 1)
    for size in [(1, 1), (37, 50)]:
        assert model(torch.randn(1, 2, *size)).shape == (1, 3, *size)
    awake(model)(torch.randn(2, 2, 33, 20)).square().sum().backward()
    assert all(weight.grad is not None and weight.grad.any() for weight in model.parameters())
    assert not list(model.backbone.parameters()) or name == "reseg"


@pytest.mark.parametrize(
    ("sides", "filters", "stride", "factors"),
    [([1, 1], [5], 4, [2]), ([3, 1], [5, 6, 7, 8], 1, [3, 2, 2, 2]), ([2, 1], [5, 6, 7, 8, 9, 9], 1, [2] * 4)],
)
def test_transposed_convolutions_lead_towards_the_image(
    sides: list[int], filters: list[int], stride: int, factors: list[int]
) -> None:
    options = {"widths": (6, 8), "depths": (1, 1), "units": [3, 3]}
    model = models.create("reseg", 2, patches=sides, filters=filters, **options)
    assert model.native_stride == stride
    assert [layer.stride[0] for layer in model.decoder.upsampling if isinstance(layer, nn.ConvTranspose2d)] == factors
    native = model(torch.randn(1, 3, 43, 30), upsample=False)
    assert native.shape == (1, 2, -(-43 // stride), -(-30 // stride))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"cell": "rnn"}, "cell is 'rnn', but must be one of vanilla, lstm, gru"),
        ({"units": [4]}, r"units \[4\] and patches \[1, 1\] do not match"),
        ({"units": [4, 0]}, "1 or more, for each ReNet layer"),
        ({"filters": [0]}, r"filters \[0\] must be 1 or more each"),
        ({"filters": [], "patches": [2, 1]}, "the result has stride 16, coarser than the backbone's 8: give more"),
        ({"backbone": "patches", "patch": 3}, "patch is 3, but must be 1, 2, 4, 8 or 16"),
        ({"backbone": "resnet18", "levels": -1}, "levels is -1, and it must be 0, for all, or more"),
    ],
)
def test_an_option_outside_its_rule_is_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(MaskwrightError, match=message):
        models.create("reseg", 2, **settings)


def test_patches_have_no_weights_to_load() -> None:
    with pytest.raises(MaskwrightError, match=r"w\.safetensors cannot be loaded: the backbone patches has no weights"):
        patches.build(3, Path("w.safetensors"))


def test_bf16_agrees_over_a_long_sweep() -> None:
    layer, x = ReNet(8, 16), torch.randn(1, 8, 64, 64)
    plain = layer(x)
    with torch.autocast("cpu", torch.bfloat16):
        quick = layer(x)
    assert (plain - quick.float()).abs().max() < 0.03 * plain.abs().max()


def test_another_backbone_keeps_its_own_widths_and_depths() -> None:
    """The narrow cut is for the compact network alone; `levels` holds for any that knows it."""
    assert models.options_of("reseg")["widths"] == (64, 128)
    assert models.options_of("reseg", "vgg16")["depths"] == (2, 2, 3, 3, 3)
    assert models.options_of("reseg", "timm:vgg16")["levels"] == 3
    model = models.create("reseg", 2, backbone="mit", units=[2], patches=[1], filters=[2])
    assert model.backbone.reductions == (4, 8, 16, 32)
    assert model.backbone.channels == (32, 64, 160, 256)


@pytest.mark.parametrize("name", ["tf_efficientnet_lite0", "mobilenetv3_small_050"])
def test_stages_after_the_last_level_are_not_built(name: str) -> None:
    """timm leaves them in these families; they would run for nothing, and refuse images that the levels take."""
    torch.manual_seed(0)
    whole = timm_backbone.build(name, 3).eval()
    part = timm_backbone.build(name, 3, levels=3).eval()
    assert sum(each.numel() for each in part.parameters()) < sum(each.numel() for each in whole.parameters()) / 4
    part.load_state_dict({key: whole.state_dict()[key] for key in part.state_dict()})
    image = torch.randn(1, 3, 64, 96)
    for found, wanted in zip(part(image), whole(image)[:3], strict=True):
        torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("name", ["timm:test_resnet", "timm:test_efficientnet"])
def test_more_levels_than_there_are_is_an_error(name: str) -> None:
    pytest.importorskip("timm")
    with pytest.raises(MaskwrightError, match=r"levels is 9, and it has \d: give \d at most, or 0 for all"):
        models.create("reseg", 2, backbone=name, levels=9)
