"""The networks for edges: side outputs and their fusion, and convolutions of pixel differences."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.models.smallest import smallest
from torch.nn import functional as F

from maskwright import losses, models
from maskwright.core.channels import Channels
from maskwright.core.errors import MaskwrightError
from maskwright.models.backbones import vgg
from maskwright.models.heads.sides import FusedHead
from maskwright.models.layers.differences import DifferenceConv, Kind
from maskwright.training.objective import Supervised

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

NAMES = ["crisp", "hed", "pidinet"]
EDGES = Channels(name="edges", count=1, activation="sigmoid")
# Clockwise from the upper left, as (down, right).
RING = [(-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1)]


def differences(x: Tensor, weight: Tensor, kind: Kind) -> Tensor:
    """Take the differences of Su et al. 2021, equations 3 to 5, pixel by pixel, for weights (K,) and `x` (H, W)."""
    wide = F.pad(x, (2, 2, 2, 2))

    def at(down: int, right: int) -> Tensor:
        return wide[2 + down : 2 + down + x.shape[0], 2 + right : 2 + right + x.shape[1]]

    if kind == "plain":
        values = [at(0, 0), *(at(*pixel) for pixel in RING)]
    elif kind == "central":
        values = [at(*pixel) - at(0, 0) for pixel in RING]
    elif kind == "angular":
        values = [at(*pixel) - at(*RING[(place + 1) % 8]) for place, pixel in enumerate(RING)]
    else:
        values = [at(2 * down, 2 * right) - at(down, right) for down, right in RING]
    return torch.stack([part * value for part, value in zip(weight, values, strict=True)]).sum(0)


@settings(deadline=None, max_examples=30)
@given(
    kind=st.sampled_from(["central", "angular", "radial", "plain"]),
    each=st.booleans(),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    seed=st.integers(0, 10**6),
)
def test_the_folded_kernel_takes_the_differences(kind: Kind, each: bool, height: int, width: int, seed: int) -> None:
    torch.manual_seed(seed)
    layer = DifferenceConv(3, 3, kind, each=each)
    x = torch.randn(2, 3, height, width)
    wanted = [
        [
            differences(image[out], layer.weight[out, 0], kind)
            if each
            else sum(differences(image[place], layer.weight[out, place], kind) for place in range(3))
            for out in range(3)
        ]
        for image in x
    ]
    found = layer(x)
    assert found.shape == x.shape
    torch.testing.assert_close(found, torch.stack([torch.stack(row) for row in wanted]), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", ["central", "angular", "radial"])
def test_differences_do_not_see_an_even_image(kind: Kind) -> None:
    layer = DifferenceConv(2, 4, kind)
    assert layer.kernel().sum((2, 3)).abs().max() < 1e-6
    inner = layer(torch.full((1, 2, 9, 9), 7.0))[..., 2:-2, 2:-2]
    torch.testing.assert_close(inner, torch.zeros_like(inner), atol=1e-5, rtol=0)


def test_differences_train_alike_in_bfloat16() -> None:
    torch.manual_seed(0)
    layer = DifferenceConv(8, 8, "radial", each=True)
    x = torch.randn(2, 8, 12, 12)
    layer(x).square().mean().backward()
    exact, layer.weight.grad = layer.weight.grad, None
    with torch.autocast("cpu", torch.bfloat16):
        layer(x).float().square().mean().backward()
    torch.testing.assert_close(layer.weight.grad, exact, atol=0.02 * float(exact.abs().max()), rtol=0)


@pytest.mark.parametrize("name", NAMES)
def test_side_outputs_are_the_auxiliary_logits_and_their_sum_predicts(name: str) -> None:
    model = models.create(name, 2, 3, **smallest(name)).eval()
    image = torch.randn(1, 3, 37, 50)
    with torch.no_grad():
        model.head.weight.uniform_()
        model.head.bias.copy_(torch.tensor([0.5, -1.0]))
        fused, *sides = model(image, with_aux=True, upsample=False)
        alone = model(image, upsample=False)
    assert len(sides) == model.auxiliary_count == len(model.backbone.channels)
    assert torch.equal(fused, alone)
    weighted = sum(side * weight[:, None, None] for side, weight in zip(sides, model.head.weight, strict=True))
    torch.testing.assert_close(fused, weighted + model.head.bias[:, None, None], atol=1e-5, rtol=1e-5)


def test_the_fusion_starts_as_the_mean() -> None:
    sides = [torch.full((1, 1, 4, 4), 2.0), torch.full((1, 1, 2, 2), 5.0)]
    assert torch.equal(FusedHead(2, 1)(sides), torch.full((1, 1, 4, 4), 3.5))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("auxiliary", [0.0, 1.0])
def test_every_side_learns_from_the_loss(name: str, auxiliary: float) -> None:
    torch.manual_seed(0)
    model = models.create(name, (EDGES,), 3, **smallest(name)).train()
    with torch.no_grad():
        model.head.weight[1:] = 0  # so that the fused logits teach the finest side only
    loss = losses.create("balanced_cross_entropy", "sigmoid")

    class Edges(torch.nn.Module):
        def forward(self, maps: dict[str, Tensor], targets: dict[str, Tensor]) -> Tensor:
            return loss(maps["edges"], targets["edges"])

    supervised = Supervised(Edges(), (EDGES,), auxiliary, full_size=True)
    images, target = torch.randn(2, 3, 40, 33), torch.randint(0, 2, (2, 40, 33))
    outputs = supervised.outputs(model, images, {})
    assert all(output.shape == (2, 1, 40, 33) for output in outputs)
    supervised.loss(images, outputs, {"edges": target}).backward()
    taught = [bool(score[1].weight.grad.any()) for score in model.decoder.scores]
    assert taught == [True] + [auxiliary > 0] * (len(taught) - 1)


def test_a_dense_network_learns_edges_too() -> None:
    model = models.create("swiftnet", (EDGES,), 3, **smallest("swiftnet")).train()
    logits = model(torch.randn(2, 3, 33, 40))
    assert logits.shape == (2, 1, 33, 40)
    losses.create("balanced_cross_entropy", "sigmoid")(logits, torch.randint(0, 2, (2, 33, 40))).backward()
    assert model.head.bias.grad.any()


def test_weights_of_the_papers_are_counted() -> None:
    # VGG-16's convolutions, a score of each stage (64 to 512 channels, and a bias), and 5 + 1 weights to fuse them.
    hed = models.create("hed", 1, 3, backbone="vgg16")
    sides = 64 + 128 + 256 + 512 + 512 + 5
    assert sum(weight.numel() for weight in hed.parameters()) == 14_714_688 + sides + 6
    assert hed.backbone.reductions == (1, 2, 4, 8, 16)
    # Su et al. 2021, table 5: 710 thousand weights at full width; norms add the rest.
    pidinet = models.create("pidinet", 1, 3, base=60)
    norms = sum(
        weight.numel() for name, weight in pidinet.named_parameters() if weight.ndim == 1 and "backbone" in name
    )
    assert sum(weight.numel() for weight in pidinet.parameters()) - norms == pytest.approx(710_000, rel=0.01)


def test_published_weights_of_vgg_give_the_maps_before_pooling(tmp_path: Path) -> None:
    make_layers = pytest.importorskip("torchvision.models.vgg").make_layers
    torch.manual_seed(0)
    theirs = make_layers([4, 4, "M", 8, 8, "M", 16, 16, 16, "M", 32, 32, 32, "M", 32, 32, 32, "M"]).eval()
    tensors = {f"features.{name}": value for name, value in theirs.state_dict().items()}
    safetensors.torch.save_file(tensors, tmp_path / "w.safetensors")
    ours = vgg.build(3, tmp_path / "w.safetensors", width_factor=1 / 16, unpooled=True).eval()
    x = image = torch.randn(1, 3, 32, 48)
    wanted = []
    with torch.no_grad():
        for layer in theirs:
            if isinstance(layer, torch.nn.MaxPool2d):
                wanted.append(x)
            x = layer(x)
        for found, one in zip(ours(image), wanted, strict=True):
            torch.testing.assert_close(found, one)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("crisp", {"width": 0}, "crisp: width 0 and finest 2 must both be 1 or more"),
        ("crisp", {"finest": 0}, "crisp: width 32 and finest 0 must both be 1 or more"),
        ("pidinet", {"width": 0}, "pidinet: width is 0, and it must be 1 or more"),
        ("pidinet", {"base": 0}, r"pidinet: base is 0 and depths \[4, 4, 4, 4\]: base must be 1 or more"),
        ("pidinet", {"depths": [1, 1]}, r"depths \[1, 1\]: base must be 1 or more, and depths four numbers"),
        ("hed", {"fully": True}, "fully is True and output_stride 32: set unpooled=false, or leave the others out"),
        ("hed", {"output_stride": 8}, "fully is False and output_stride 8: set unpooled=false, or leave"),
    ],
)
def test_a_value_outside_its_rule_is_named(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(MaskwrightError, match=message):
        models.create(name, 1, **options)


@pytest.mark.parametrize("options", [{"unpooled": False, "fully": True}, {"unpooled": False, "output_stride": 8}])
def test_the_cure_of_unpooled_works(options: dict[str, object]) -> None:
    image = torch.randn(1, 3, 40, 33)
    assert models.create("hed", 1, width_factor=1 / 16, **options).eval()(image).shape == (1, 1, 40, 33)


def test_pidinet_learns_in_bfloat16_with_channels_last() -> None:
    """In a process of its own: oneDNN ended it with a segmentation fault."""
    script = (
        "import torch\n"
        "from maskwright import models\n"
        "model = models.create('pidinet', classes=1).to(memory_format=torch.channels_last)\n"
        "x = torch.rand(2, 3, 192, 192).to(memory_format=torch.channels_last)\n"
        "for _ in range(2):\n"
        "    with torch.autocast('cpu', torch.bfloat16):\n"
        "        out = model(x)\n"
        "    out.float().square().mean().backward()\n"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=200, check=False)
    assert ran.returncode == 0, ran.stderr
