"""The names and shapes of the tensors in users' files, architecture by architecture: a rename breaks here first."""

from __future__ import annotations

import hashlib

import pytest
import torch
from tests.models.smallest import smallest

from maskwright import models

# Of each architecture at its smallest options, for 2 classes and 3 channels: what `digest` gives.
PINNED = {
    "attention_unet": "bde20e24",
    "cnn": "d65b9392",
    "crisp": "df746614",
    "deeplabv1": "132c1237",
    "deeplabv2": "8fd837d7",
    "deeplabv3": "5c60e7c2",
    "deeplabv3plus": "54b682de",
    "fcn": "e27abae2",
    "fcn16s": "fe363347",
    "fcn32s": "6041ae2c",
    "fcn8s": "4874912c",
    "fpn": "79370cf1",
    "hed": "3ad25a1d",
    "lraspp": "6b424b55",
    "pidinet": "c49e29c4",
    "ppliteseg": "1274c878",
    "pspnet": "85374743",
    "renet": "7bc6a9ab",
    "reseg": "5fcc6fc2",
    "segformer": "0b9f9889",
    "swiftnet": "19e5aedc",
    "unet": "bb6778bb",
    "unet++": "c8b82b8b",
    "unet2015": "0f279f72",
    "upernet": "09cf8130",
}


def digest(model: models.Segmenter) -> str:
    """Shorten the sorted names and shapes of all tensors that a file holds."""
    lines = sorted(f"{name} {tuple(tensor.shape)}" for name, tensor in model.state_dict().items())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:8]


def test_the_tensors_of_mask_rcnn_keep_their_names() -> None:
    small = {"widths": (4, 6, 8, 10), "depths": (1, 1, 1, 1), "width": 8}
    with torch.device("meta"):
        found = [digest(models.create("maskrcnn", 2, **small, version=version)) for version in (1, 2)]
    assert found == ["37ca174d", "c1186154"], "users' files hold these names; see below"


def test_the_tensors_of_mask2former_keep_their_names() -> None:
    small = {"widths": (4, 6, 8, 10), "depths": (1, 1, 1, 1), "width": 8, "heads": 2, "layers": (1, 1)}
    with torch.device("meta"):
        found = digest(models.create("mask2former", 2, **small, queries=5))
    assert found == "d886f643", "users' files hold these names; see below"


def test_every_architecture_is_pinned() -> None:
    assert sorted(PINNED) == sorted(models.MODELS)


@pytest.mark.parametrize("name", sorted(PINNED))
def test_tensors_keep_the_names_and_shapes_that_files_hold(name: str) -> None:
    with torch.device("meta"):
        found = digest(models.create(name, 2, 3, **smallest(name)))
    assert found == PINNED[name], (
        f"{name} names or shapes its tensors anew, and users' files hold the old names: keep them, or raise "
        "bundle.FORMAT, migrate files of the format before it, and pin the new digest here"
    )


def test_a_renamed_or_reshaped_tensor_is_noticed() -> None:
    model = models.create("fcn", 2, 3, **smallest("fcn"))
    before = digest(model)
    assert digest(models.create("fcn", 3, 3, **smallest("fcn"))) != before
    model.decoder.convolutions = model.decoder.block
    del model.decoder.block
    assert digest(model) != before
