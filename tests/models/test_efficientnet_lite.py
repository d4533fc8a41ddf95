"""EfficientNet-Lite: timm's networks are the judge, of features, gradients, names, strides and weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import timm
import torch
from safetensors.torch import save_file

from maskwright.core.errors import MaskwrightError
from maskwright.models.backbones import efficientnet_lite, timm_backbone
from maskwright.models.backbones.packages import PACKAGES, checked_file
from maskwright.models.backbones.timm_weights import whole_state

if TYPE_CHECKING:
    from pathlib import Path

NAMES = sorted(efficientnet_lite.SCALES)


def both(name: str, channels: int = 3, **options: object) -> tuple[torch.nn.Module, torch.nn.Module]:
    """Build our network and timm's, with the same weights and statistics."""
    ours, theirs = (module.build(name, channels, **options) for module in (efficientnet_lite, timm_backbone))
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


@pytest.mark.parametrize("name", NAMES)
def test_tensors_and_features_are_those_of_timm(name: str) -> None:
    ours, theirs = both(name)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert (ours.channels, ours.reductions) == (theirs.channels, theirs.reductions)
    x = torch.randn(1, 3, 64, 96)
    for training in (False, True):  # the latter moves the statistics, which the next comparison sees
        for found, wanted in zip(ours.train(training)(x), theirs.train(training)(x), strict=True):
            assert torch.equal(found, wanted)
    assert all(torch.equal(value, theirs.state_dict()[key]) for key, value in ours.state_dict().items())
    whole = efficientnet_lite.whole_state(name)
    assert {key: value.shape for key, value in whole.items()} == {
        key: value.shape for key, value in whole_state(name).items()
    }
    assert list(whole) == list(whole_state(name))


@pytest.mark.parametrize(
    "options",
    [{"output_stride": 8}, {"output_stride": 16}, {"levels": 3}, {"levels": 1, "output_stride": 8}],
    ids=lambda options: "-".join(map(str, options.values())),
)
def test_options_mean_the_same(options: dict[str, int]) -> None:
    ours, theirs = (network.eval() for network in both("tf_efficientnet_lite0", 5, **options))
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert (ours.channels, ours.reductions) == (theirs.channels, theirs.reductions)
    x = torch.randn(2, 5, 64, 64)
    for found, wanted in zip(ours(x), theirs(x), strict=True):
        assert torch.equal(found, wanted)


def test_gradients_are_those_of_timm_also_when_stages_are_computed_again() -> None:
    ours, theirs = (network.train() for network in both("tf_efficientnet_lite0"))
    x = torch.randn(2, 3, 64, 64)
    sum(level.square().mean() for level in theirs(x)).backward()
    expected = {name: value.grad for name, value in theirs.named_parameters()}
    for again in (False, True):
        ours.zero_grad()
        ours.set_gradient_checkpointing(again)
        sum(level.square().mean() for level in ours(x)).backward()
        for name, value in ours.named_parameters():
            assert (value.grad - expected[name]).norm() <= 1e-3 * expected[name].norm()


def test_random_weights_are_spread_as_those_of_timm() -> None:
    ours, theirs = (module.build("tf_efficientnet_lite0", 3) for module in (efficientnet_lite, timm_backbone))
    expected = theirs.state_dict()
    for name, value in ours.state_dict().items():
        if value.numel() > 2000:  # the standard deviation of fewer says little
            assert float(value.std()) == pytest.approx(float(expected[name].std()), rel=0.1)
            assert abs(float(value.mean())) < 0.1 * float(value.std())


@pytest.mark.parametrize("name", sorted(PACKAGES))
@pytest.mark.parametrize("channels", [3, 4])
def test_the_packages_fill_it_as_they_fill_timms(name: str, channels: int) -> None:
    ours, theirs = (
        module.build(name, channels, checked_file(PACKAGES[name])) for module in (efficientnet_lite, timm_backbone)
    )
    assert all(torch.equal(value, theirs.state_dict()[key]) for key, value in ours.state_dict().items())


def test_a_file_of_timm_fills_it_with_or_without_classifier_and_counters(tmp_path: Path) -> None:
    whole = timm.create_model("tf_efficientnet_lite0")
    features = timm.create_model("tf_efficientnet_lite0", features_only=True)
    for number, network in enumerate((whole, features, whole)):
        file, state = tmp_path / f"{number}.safetensors", network.state_dict()
        save_file({key: value for key, value in state.items() if number < 2 or "num_batches" not in key}, file)
        ours = efficientnet_lite.build("tf_efficientnet_lite0", 3, file)
        assert torch.equal(ours.network["conv_stem"].weight, network.conv_stem.weight)


def test_errors_name_the_value_and_the_rule(tmp_path: Path) -> None:
    name = "tf_efficientnet_lite0"
    with pytest.raises(MaskwrightError, match="output_stride is 4, and it must be 8, 16 or 32"):
        efficientnet_lite.build(name, 3, output_stride=4)
    for levels in (-1, 6):
        with pytest.raises(MaskwrightError, match=f"levels is {levels}, and it must be 1 to 5, or 0 for all of them"):
            efficientnet_lite.build(name, 3, levels=levels)
    other = tmp_path / "other.safetensors"
    save_file(dict(timm.create_model("tf_efficientnet_lite1").state_dict()), other)
    with pytest.raises(MaskwrightError, match=r"other\.safetensors does not fit timm's tf_efficientnet_lite0: .*give"):
        efficientnet_lite.build(name, 3, other)
    state = dict(timm.create_model(name).state_dict())
    del state["blocks.3.1.conv_dw.weight"]
    state["blocks.0.0.conv_pw.weight"] = torch.zeros(16, 31, 1, 1)
    save_file(state, other)
    shape, missing = r"blocks\.0\.0\.conv_pw\.weight is \[16, 31, 1, 1\] and should be ", r"conv_dw\.weight is missing"
    with pytest.raises(MaskwrightError, match=f"{shape}.*; blocks.3.1.{missing}"):
        efficientnet_lite.build(name, 3, other)
