"""The name that somebody most likely meant."""

from __future__ import annotations

import pytest

from maskwright.core.errors import nearest, unknown_name

MODELS = ["attention_unet", "deeplabv3", "deeplabv3plus", "fcn", "pspnet", "swiftnet", "unet", "unet++", "unet2015"]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("deepLabV3+", "deeplabv3plus"),
        ("DeepLab v3+", "deeplabv3plus"),
        ("deeplab_v3", "deeplabv3"),
        ("unetplusplus", "unet++"),
        ("unet-plus-plus", "unet++"),
        ("U-Net", "unet"),
        ("Attention U-Net", "attention_unet"),
        ("FCN", "fcn"),
        ("pspent", "pspnet"),
        ("zebra", None),
        ("timm:unet", None),
        ("foo", None),
    ],
)
def test_the_nearest_name(name: str, meant: str | None) -> None:
    assert nearest(name, MODELS) == meant


def test_what_stands_before_a_colon_is_not_guessed_at() -> None:
    assert nearest("timm:resnet8", ["resnet18", "timm:resnet18", "timm:vit"]) == "timm:resnet18"


def test_the_error_names_the_nearest_and_all() -> None:
    assert str(unknown_name("loss", "Dicee", ["focal", "dice"])) == (
        "unknown loss 'Dicee': did you mean 'dice'? Available: dice, focal"
    )
    assert str(unknown_name("loss", "zebra", ["focal"])) == "unknown loss 'zebra'. Available: focal"


def test_an_error_carries_the_key_of_its_setting() -> None:
    assert unknown_name("loss", "zebra", ["focal"]).key is None
    error = unknown_name("loss", "zebra", ["focal"], "loss.terms")
    assert (error.key, "loss.terms" in str(error)) == ("loss.terms", False)
