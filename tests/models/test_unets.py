"""U-Net as its paper counts it, its relatives against a second implementation, and convolutions without padding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.models.references import awake, shaken, smp_only, weights_of
from torch import nn

from maskwright import models
from maskwright.models.layers.blocks import DoubleConv, initialise, mirror
from maskwright.models.layers.enlarging import JoinedConv, enlarged_convolution
from maskwright.models.layers.gate import AttentionGate

if TYPE_CHECKING:
    from collections.abc import Callable

    Build = Callable[..., models.Segmenter]

TINY = {"base": 2, "channels": (6, 5, 4, 3)}


def test_the_original_is_as_large_as_the_paper_says() -> None:
    """Ronneberger et al. 2015, section 2: "In total the network has 23 convolutional layers"; figure 1: the widths."""
    model = models.create("unet2015", 2, 1)
    layers = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)]
    assert len(layers) == 23
    assert [layer.kernel_size[0] for layer in layers].count(3) == 18
    assert [(layer.in_channels, layer.out_channels) for layer in layers if layer.kernel_size[0] == 2] == [
        (1024, 512),
        (512, 256),
        (256, 128),
        (128, 64),
    ]
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in model.modules())
    by_hand, before = 0, 1
    for width in (64, 128, 256, 512, 1024):
        by_hand += 9 * before * width + width + 9 * width * width + width
        before = width
    for width in (512, 256, 128, 64):
        by_hand += 4 * (2 * width) * width + width  # up-convolution, halving the channels
        by_hand += 9 * (2 * width) * width + width + 9 * width * width + width  # after the copy was put beside
    by_hand += 64 * 2 + 2
    assert weights_of(model) == by_hand == 31_030_658


def test_without_padding_the_sizes_are_those_of_figure_1() -> None:
    model = models.create("unet2015", 2, 1, valid=True, **TINY)
    levels = model.backbone(torch.zeros(1, 1, 572, 572))
    logits = model.head(model.decoder(levels))
    assert [level.shape[-1] for level in levels] == model.backbone.lengths(572) == [568, 280, 136, 64, 28]
    assert logits.shape[-2:] == (388, 388)
    assert model.decoder.margin == (572 - 388) // 2
    assert [model.backbone.fitted(length) for length in (1, 140, 141, 572, 573)] == [140, 140, 156, 572, 588]


@pytest.mark.parametrize("finest", [1, 2])
def test_mirrored_context_leaves_the_logits_in_their_place(finest: int) -> None:
    model = models.create("unet2015", 2, 1, valid=True, finest=finest, **TINY).eval()
    image = torch.randn(1, 1, 45, 70)
    margin = model.decoder.margin
    sides = [model.backbone.fitted(side + 2 * margin) for side in (45, 70)]
    columns = [abs((column - margin) % 138 - 69) for column in range(sides[1])]
    rows = [abs((row - margin) % 88 - 44) for row in range(sides[0])]
    context = image.flip(2, 3)[:, :, rows][:, :, :, columns]  # pixel i of n stands at n - 1 - i, counted from the end
    expected = model.head(model.decoder(model.backbone(context)))
    logits = model(image, upsample=False)
    assert logits.shape == (1, 2, -(-45 // finest), -(-70 // finest))
    torch.testing.assert_close(logits, expected[:, :, : logits.shape[2], : logits.shape[3]])


def test_with_enough_real_context_padding_makes_no_difference() -> None:
    """The same weights, far from the border: the logits of both forms agree where zeros have not come in.

    With one pooling only, since with more the two pool other pixels together.
    """
    valid = models.create("unet2015", 2, 1, valid=True, levels=2, base=2, channels=(3,)).eval()
    padded = models.create("unet2015", 2, 1, levels=2, base=2, channels=(3,)).eval()
    padded.load_state_dict(valid.state_dict())
    image = torch.randn(1, 1, 40, 40)
    inside = slice(10, 30)
    assert not torch.allclose(valid(image), padded(image))
    torch.testing.assert_close(valid(image)[:, :, inside, inside], padded(image)[:, :, inside, inside])


def test_mirror_goes_back_and_forth() -> None:
    x = torch.arange(3.0).reshape(1, 1, 1, 3)
    assert mirror(x, (0, 4), (1, 11))[0, 0, 0].tolist() == [0, 1, 2, 1, 0, 1, 2, 1, 0, 1, 2]
    assert mirror(x, (2, 0), (4, 3))[0, 0].tolist() == [[0, 1, 2]] * 4
    wide = torch.nn.functional.pad(torch.randn(1, 2, 6, 7), (0, 0, 0, 0))
    expected = torch.nn.functional.pad(wide, (3, 4, 5, 2), mode="reflect")
    assert torch.equal(mirror(wide, (5, 3), (13, 14)), expected)


@pytest.mark.parametrize("options", [{"valid": True}, {"valid": True, "norm": True, "drop": 0.2, "levels": 3}])
def test_the_original_trains_without_padding(options: dict[str, Any]) -> None:
    model = models.create("unet2015", 150, 7, **{**TINY, **options}).train()
    model.set_gradient_checkpointing(enable=True)
    model(torch.randn(1, 7, 33, 5)).square().sum().backward()
    assert all(weight.grad is not None and weight.grad.any() for weight in model.parameters())


UNET = {
    "encoder.": "backbone.network.",
    "segmentation_head.0.": "head.1.",
}


def of_unet(name: str) -> str:
    """Return our name for one of segmentation_models.pytorch's Unet; `Unet++` differs in the blocks' numbers."""
    if name.startswith("decoder."):
        return name.replace("conv1.", "0.").replace("conv2.", "1.")
    theirs = next(prefix for prefix in UNET if name.startswith(prefix))
    return UNET[theirs] + name.removeprefix(theirs)


def of_nested(name: str, last: int = 4) -> str:
    """There, block x_d_l starts at the d-th level from below and stands on the l-th: level and column here.

    The last one stands behind the triangle.
    """
    if not name.startswith("decoder.blocks.x_"):
        return of_unet(name)
    _, _, block, *rest = of_unet(name).split(".")
    start, layer = (int(number) for number in block.split("_")[1:])
    place = "finish.0" if layer == last else f"blocks.{last - 1 - layer}_{layer - start + 1}"
    return ".".join(["decoder", place, *rest])


@smp_only
@pytest.mark.parametrize(
    ("architecture", "name", "rename"), [("Unet", "unet", of_unet), ("UnetPlusPlus", "unet++", of_nested)]
)
def test_segmentation_models_pytorch(architecture: str, name: str, rename: Callable[[str], str]) -> None:
    smp = pytest.importorskip("segmentation_models_pytorch", reason="the judge is only in the extra `bench`")
    widths = (40, 24, 16, 12, 8)
    reference = shaken(getattr(smp, architecture)("resnet18", encoder_weights=None, classes=2, decoder_channels=widths))
    ours = models.create(name, 2, 3, "resnet18", channels=widths, layout="smp").eval()
    ours.load_state_dict({rename(key): tensor for key, tensor in reference.state_dict().items()})
    for size in [(64, 96), (96, 32)]:
        image = torch.randn(1, 3, *size)
        with torch.no_grad():
            mine, expected = ours(image), reference(image)
        assert (mine - expected).abs().max() < 1e-4 * expected.abs().max()


def test_nested_skips_are_those_of_equation_1() -> None:
    """Four levels by hand: x(0, 3) reads x(0, 2), x(0, 1), x(0, 0) and what comes up from x(1, 2)."""
    model = shaken(models.create("unet++", 2, 3, "unet", base=2, levels=4, norm=True, channels=(7, 6, 5)))
    decoder = model.decoder
    features = model.backbone(torch.randn(1, 3, 16, 24))
    x = {(level, 0): feature for level, feature in enumerate(features)}
    for column in (1, 2, 3):
        for level in range(4 - column):
            up = nn.functional.interpolate(x[level + 1, column - 1], scale_factor=2)
            earlier = [x[level, before] for before in reversed(range(column))]
            x[level, column] = decoder.blocks[f"{level}_{column}"](torch.cat([up, *earlier], dim=1))
    result, further = decoder(features)
    torch.testing.assert_close(result, x[0, 3], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(further, [x[0, 1], x[0, 2]], rtol=1e-4, atol=1e-5)
    assert (decoder.channels, decoder.stride, [x[0, column].shape[1] for column in (1, 2, 3)]) == (5, 1, [2, 2, 5])


@pytest.mark.parametrize(("finest", "stem"), [(1, 4), (4, 4), (2, 2)])
def test_deep_supervision_gives_auxiliary_logits(small: Build, finest: int, stem: int) -> None:
    model = awake(small("unet++", deep_supervision=True, finest=finest, stem=stem, channels=(6, 5, 4))).train()
    outputs = model(torch.randn(2, 3, 33, 40), with_aux=True)
    assert [tuple(output.shape) for output in outputs] == [(2, 3, 33, 40)] * len(outputs)
    assert len(outputs) == len(model.decoder.levels) - 1
    sum(output.square().sum() for output in outputs).backward()
    assert all(weight.grad is not None for weight in model.aux.parameters())


def test_an_attention_gate_by_hand() -> None:
    """Oktay et al. 2018, equations 1 and 2, with one channel each: q = psi ReLU(wx x + wg g + bg) + bpsi."""
    gate = AttentionGate(1, 1, 2)
    values = {
        "of_input.weight": 0.5,
        "of_gating.weight": 2.0,
        "of_gating.bias": -1.0,
        "psi.weight": 3.0,
        "psi.bias": 0.5,
    }
    gate.load_state_dict({name: torch.full_like(gate.state_dict()[name], value) for name, value in values.items()})
    x = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    attention = torch.sigmoid(torch.tensor(3.0 * (0.5 * (1 + 2 + 3 + 4) + 2.0 * 0.25 - 1.0) + 0.5))
    torch.testing.assert_close(gate(x, torch.full((1, 1, 1, 1), 0.25)), attention * x)
    silent = gate(x, torch.full((1, 1, 1, 1), -9.0))  # nothing is left under the ReLU: sigmoid(0.5)
    torch.testing.assert_close(silent, torch.sigmoid(torch.tensor(0.5)) * x)


def test_every_skip_but_the_finest_has_a_gate(small: Build) -> None:
    model = small("attention_unet", stem=2)
    gates = model.decoder.gates
    assert [isinstance(gate, AttentionGate) for gate in gates] == [True, True, False, False]
    assert [(gate.of_input.in_channels, gate.of_gating.in_channels) for gate in gates[:2]] == [(8, 10), (6, 256)]
    assert not any(isinstance(layer, AttentionGate) for layer in small("unet").modules())
    wide = gates[0](torch.ones(1, 8, 4, 6), torch.zeros(1, 10, 2, 3))
    assert wide.shape == (1, 8, 4, 6)


@given(st.integers(1, 6), st.integers(1, 7), st.integers(1, 3), st.integers(0, 9))
def test_a_convolution_of_an_enlarged_map_needs_no_enlarged_map(height, width, channels, seed):
    torch.manual_seed(seed)
    coarse, weight, bias = torch.randn(2, channels, height, width), torch.randn(5, channels, 3, 3), torch.randn(5)
    enlarged = nn.functional.interpolate(coarse, scale_factor=2, mode="nearest")
    wanted = nn.functional.conv2d(enlarged, weight, bias, padding=1)
    torch.testing.assert_close(enlarged_convolution(coarse, weight, bias), wanted, rtol=1e-4, atol=1e-4)


@given(st.integers(1, 6), st.integers(1, 7), st.integers(1, 3), st.integers(0, 2), st.booleans(), st.integers(0, 9))
def test_phases_of_an_enlarged_map_need_no_transposed_convolution(height, width, channels, beside, bias, seed):
    torch.manual_seed(seed)
    convolution = nn.Conv2d(channels + beside, 5, 3, padding=1, bias=bias)
    coarse, fine = torch.randn(2, channels, height, width), torch.randn(2, beside, 2 * height, 2 * width)
    enlarged = nn.functional.interpolate(coarse, scale_factor=2, mode="nearest")
    wanted = convolution(torch.cat([enlarged, fine], dim=1))
    found = JoinedConv(convolution, channels)(coarse, fine if beside else None)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("name", "options"), [("unet", {}), ("attention_unet", {"stem": 2}), ("unet++", {"stem": 2})])
def test_a_network_of_split_blocks_is_the_same(small: Build, name: str, options: dict[str, Any]) -> None:
    network = awake(small(name, channels=(6, 5, 4), **options)).eval()
    x = torch.randn(1, 3, 70, 90)
    wanted = network(x)
    blocks = [block for block in network.decoder.modules() if isinstance(block, DoubleConv)]
    for block in blocks:
        assert block.coarse
        block.split()
    torch.testing.assert_close(network(x), wanted, rtol=1e-5, atol=1e-5)


def test_blocks_that_do_not_upsample_by_2_are_not_split() -> None:
    originals = models.create("unet2015", 2, 1, **TINY), models.create("unet2015", 2, 1, valid=True, **TINY)
    assert not any(block.coarse for model in originals for block in model.modules() if isinstance(block, DoubleConv))


@pytest.mark.parametrize(("factor", "norm", "beside"), [(2, True, 3), (2, False, 3), (2, True, 0), (4, True, 3)])
def test_a_joined_block_is_the_block_on_what_is_joined(factor, norm, beside):
    torch.manual_seed(0)
    block = DoubleConv(4 + beside, 6, norm=norm)
    coarse, fine = torch.randn(2, 4, 3, 5), torch.randn(2, beside, 3 * factor, 5 * factor)
    enlarged = nn.functional.interpolate(coarse, scale_factor=factor, mode="nearest")
    wanted = block.eval()(torch.cat([enlarged, fine], dim=1))
    found = block.joined(coarse, fine if beside else None, factor)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def of_bfloat16_units(operation: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """Round factors and results to bfloat16 and sum in float32. Processors without such units round sums in between."""

    def rounded(x: torch.Tensor, weight: torch.Tensor, *rest: Any, **options: Any) -> torch.Tensor:
        with torch.autocast("cpu", enabled=False):
            return operation(x.bfloat16().float(), weight.bfloat16().float(), *rest, **options).bfloat16()

    return rounded


def test_a_convolution_of_an_enlarged_map_is_the_same_in_half_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernels are summed in full precision before bfloat16 rounds them: no worse than the usual way's rounding."""
    torch.manual_seed(0)
    coarse, weight = torch.randn(2, 16, 9, 7), torch.randn(8, 16, 3, 3) / 12
    enlarged = nn.functional.interpolate(coarse, scale_factor=2, mode="nearest")
    exact = nn.functional.conv2d(enlarged, weight, padding=1)
    with torch.autocast("cpu", torch.bfloat16):
        found = enlarged_convolution(coarse, weight)
        assert found.dtype == torch.bfloat16
        assert (found - exact).abs().max() < 0.02 * exact.abs().max()
        transposed = of_bfloat16_units(nn.functional.conv_transpose2d)
        monkeypatch.setattr(nn.functional, "conv_transpose2d", transposed)
        found = enlarged_convolution(coarse, weight)
    usual = of_bfloat16_units(nn.functional.conv2d)(enlarged, weight, padding=1)
    assert (found - exact).square().mean() < 1.5 * (usual - exact).square().mean()


@pytest.mark.parametrize(("kernel", "stride"), [(2, 2), (4, 2), (4, 4)])
def test_transposed_convolutions_start_with_the_variance_of_their_input(kernel: int, stride: int) -> None:
    torch.manual_seed(0)
    layer = nn.ConvTranspose2d(64, 64, kernel, stride)
    initialise(layer)
    assert not layer.bias.any()
    inside = layer(torch.randn(4, 64, 16, 16))[:, :, kernel:-kernel, kernel:-kernel]
    assert inside.var().item() == pytest.approx(1.0, abs=0.1)


def test_nearest_neighbours_have_no_weights_and_no_names() -> None:
    names = models.create("unet", 2, 3, widths=(4, 6), depths=(1, 1), channels=(4, 3)).decoder.state_dict()
    assert {name.partition(".")[0] for name in names} == {"blocks"}
