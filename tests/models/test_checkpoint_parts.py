"""Checkpoints as people have them: the network in them is found by its names, and nothing is dropped without a word."""

from __future__ import annotations

import json
import tarfile
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from maskwright.core.channels import class_channels
from maskwright.core.errors import MaskwrightError
from maskwright.core.plan import Plan
from maskwright.models.backbones import find_backbone
from maskwright.models.importers import import_model
from maskwright.models.weights import load_exactly, read_network
from maskwright.models.weights.parts import part_of
from maskwright.workflows.train_parts.network import first_network

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

LEGACY = {"_use_new_zipfile_serialization": False}


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1))


STATE = network().state_dict()
KNOWN = set(STATE)


def under(prefix: str, factor: float = 1.0) -> dict[str, Tensor]:
    return {prefix + name: (factor * value).to(value.dtype) for name, value in STATE.items()}


def same(found: Mapping[str, Tensor], factor: float = 1.0) -> None:
    wanted = under("", factor)
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], value) for name, value in wanted.items())


class Own:
    """A class of a user's project, as hyper-parameters hold it."""


@pytest.mark.parametrize("settings", [{}, LEGACY], ids=["zip", "legacy"])
@pytest.mark.parametrize(
    ("content", "note"),
    [
        (STATE, None),
        (under("module."), "w.pth: took the weights under 'module.'"),
        (under("_orig_mod."), "w.pth: removed _orig_mod. from their names"),
        (under("module._orig_mod."), "w.pth: took the weights under 'module.', removed _orig_mod. from their names"),
        (under("model.net."), "w.pth: took the weights under 'model.net.'"),
        *(
            ({name: STATE, "epoch": 3, "optimizer": {"state": {0: {"step": torch.ones(1)}}}}, f"under '{name}.'")
            for name in (
                "state_dict",
                "model",
                "model_state_dict",
                "params",
                "network_weights",
                "net",
                "weights",
                "ema",
            )
        ),
        ({"model": {"state_dict": under("module.")}}, "under 'model.state_dict.module.'"),
        (
            {"state_dict": {**under("model."), "loss.weight": torch.ones(3)}, "hyper_parameters": {"own": Own()}},
            "w.pth: took the weights under 'state_dict.model.', left out state_dict.loss.weight",
        ),
        ({**STATE, "criterion.weight": torch.ones(3), "epoch": 7}, "w.pth: left out criterion.weight"),
        ({**STATE, "val_metrics.iou.total": torch.ones(3)}, "w.pth: left out val_metrics.iou.total"),
        ({**under("module."), "n_averaged": torch.tensor(4)}, "under 'module.', left out n_averaged"),
        ({"G": STATE, "D": {"score.weight": torch.ones(2)}}, "w.pth: took the weights under 'G.', left out D.score.we"),
    ],
)
def test_the_network_is_found_in(tmp_path: Path, content: Any, note: str | None, settings: dict[str, Any]) -> None:
    torch.save(content, tmp_path / "w.pth", **settings)
    found, notes = read_network(tmp_path / "w.pth", KNOWN)
    same(found)
    assert len(notes) == (note is not None)
    assert note is None or note in notes[0]


def test_names_are_changed_in_safetensors_too(tmp_path: Path) -> None:
    save_file({**under("model."), "loss.weight": torch.ones(3)}, tmp_path / "w.safetensors")
    found, notes = read_network(tmp_path / "w.safetensors", KNOWN)
    same(found)
    assert notes == (f"{tmp_path / 'w.safetensors'}: took the weights under 'model.', left out loss.weight",)


def test_a_wrapper_is_removed_from_the_middle_of_a_name() -> None:
    part = part_of(["a._orig_mod.x", "a._checkpoint_wrapped_module.y"], {"a.x", "a.y"}, "w")
    assert part is not None
    assert list(part.names.values()) == ["a.x", "a.y"]


@pytest.mark.parametrize(
    "content",
    [
        {"model": under("", 2.0), "ema": STATE},
        {"state_dict": under("", 2.0), "state_dict_ema": STATE},
        {"state_dict": {**under("model.", 2.0), **under("model_ema.")}},
        {"ema_state_dict": {"module": STATE}, "model_state_dict": under("", 2.0)},
    ],
)
def test_averaged_weights_are_preferred(tmp_path: Path, content: dict[str, Any]) -> None:
    torch.save(content, tmp_path / "w.pth")
    found, notes = read_network(tmp_path / "w.pth", KNOWN)
    same(found)
    assert "which are averaged (EMA), not those under " in notes[0]
    assert "left out" not in notes[0]


def test_averaged_weights_without_the_statistics_are_not_a_network(tmp_path: Path) -> None:
    weights = {name: value for name, value in under("", 2.0).items() if "running" not in name}
    torch.save({"model": STATE, "ema": weights}, tmp_path / "w.pth")
    same(read_network(tmp_path / "w.pth", KNOWN)[0])
    same(read_network(tmp_path / "w.pth", {"2.weight"})[0])


def test_two_networks_are_not_guessed_between(tmp_path: Path) -> None:
    torch.save({**under("student."), **under("teacher.")}, tmp_path / "w.pth")
    with pytest.raises(MaskwrightError, match=r"w\.pth holds 2 networks that fit, under 'student\.' and 'teacher\.': "):
        read_network(tmp_path / "w.pth", KNOWN)
    state = torch.load(tmp_path / "w.pth", weights_only=True)
    torch.save({name: value for name, value in state.items() if name.startswith("student.")}, tmp_path / "w.pth")
    same(read_network(tmp_path / "w.pth", KNOWN)[0])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_any_precision_becomes_float32(tmp_path: Path, dtype: torch.dtype) -> None:
    torch.save({"x": torch.tensor([0.5, -2.0], dtype=dtype), "n": torch.tensor(3)}, tmp_path / "w.pth")
    found, _ = read_network(tmp_path / "w.pth", {"x"})
    assert found["x"].dtype is torch.float32
    assert found["x"].tolist() == [0.5, -2.0]
    assert found["n"].dtype is torch.int64


def test_counters_may_be_absent_and_nothing_else() -> None:
    other = network()
    load_exactly(other, {name: value for name, value in STATE.items() if "num_batches" not in name}, "w.pth")
    with pytest.raises(MaskwrightError, match=r"1\.running_var is missing"):
        load_exactly(other, {name: value for name, value in STATE.items() if "running_var" not in name}, "w.pth")


def test_an_object_among_the_tensors_is_refused_and_elsewhere_left_alone(tmp_path: Path) -> None:
    torch.save({"state_dict": {**STATE, "own": Own()}}, tmp_path / "w.pth")
    with pytest.raises(MaskwrightError, match=r"w\.pth contains .*Own, and maskwright runs no code"):
        read_network(tmp_path / "w.pth", KNOWN)


def test_a_whole_model_is_refused_with_the_cure(tmp_path: Path) -> None:
    torch.save(network(), tmp_path / "w.pth")
    words = r"contains torch\.nn\.modules\.container\.Sequential as a whole, .* save model\.state_dict\(\) alone"
    with pytest.raises(MaskwrightError, match=words):
        read_network(tmp_path / "w.pth", KNOWN)


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a pointer of Git LFS: .* `git lfs pull`"),
        (b"\n<!DOCTYPE html><html></html>", "a web page: download the file again"),
        (json.dumps({"message": "Not Found"}).encode(), "JSON text: download the file again"),
    ],
)
def test_what_a_download_left_instead_is_named(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(MaskwrightError, match=f"contains no weights, but {words}"):
        read_network(tmp_path / name, KNOWN)


def test_an_archive_is_not_a_checkpoint_whatever_its_name(tmp_path: Path) -> None:
    torch.save(STATE, tmp_path / "in.pth")
    same(read_network((tmp_path / "in.pth").rename(tmp_path / "w.pth.tar"), KNOWN)[0])
    with tarfile.open(tmp_path / "x.pth.tar", "w") as archive:
        archive.add(tmp_path / "w.pth.tar", "w.pth")
    with pytest.raises(MaskwrightError, match=r"x\.pth\.tar is not a complete file of torch\.save"):
        read_network(tmp_path / "x.pth.tar", KNOWN)


@pytest.mark.parametrize(
    ("name", "options"),
    [("compact", {}), ("timm:resnet18", {}), ("mobilenet_v3_large", {}), ("vgg16", {"width_factor": 0.1})],
)
def test_a_backbone_starts_from_a_checkpoint_s_encoder(tmp_path: Path, name: str, options: dict[str, float]) -> None:
    build = partial(find_backbone(name).builder, **options)
    first = build(3, None)
    prefix = "network." if name.startswith("timm:") else ""
    state = {f"model.encoder.{key.removeprefix(prefix)}": value for key, value in first.state_dict().items()}
    torch.save({"state_dict": {**state, "model.head.weight": torch.ones(2)}}, tmp_path / "w.ckpt")
    second = build(3, tmp_path / "w.ckpt")
    assert all(torch.equal(value, second.state_dict()[key]) for key, value in first.state_dict().items())
    assert (
        "took the weights under 'state_dict.model.encoder.', left out state_dict.model.head.weight" in second.notes[0]
    )


def test_a_training_says_what_it_started_from(tmp_path: Path) -> None:
    state = find_backbone("compact").builder(3, None).state_dict()
    torch.save({f"module.{name}": value for name, value in state.items()}, tmp_path / "w.pth")
    plan = Plan(model={"backbone": "compact", "weights": str(tmp_path / "w.pth")})
    note = f"{tmp_path / 'w.pth'}: took the weights under 'module.'"
    assert first_network(plan, class_channels(2), ("a", "b"), resumed=False)[1] == [note]
    assert first_network(plan, class_channels(2), ("a", "b"), resumed=True)[1] == []


def test_an_import_says_what_it_did_and_predicts_alike(tmp_path: Path) -> None:
    torchvision = pytest.importorskip("torchvision")
    build = torchvision.models.segmentation.lraspp_mobilenet_v3_large
    state = build(weights=None, weights_backbone=None, num_classes=2).state_dict()
    torch.save(state, tmp_path / "plain.pth")
    wrapped = {f"model._orig_mod.{name}": value for name, value in state.items()}
    torch.save({"state_dict": {**wrapped, "loss.weight": torch.ones(2)}}, tmp_path / "w.ckpt")
    source = "torchvision:lraspp_mobilenet_v3_large"
    plain, _ = import_model(source, tmp_path / "plain.pth")
    found, card = import_model(source, tmp_path / "w.ckpt")
    assert card.summary["imported"]["notes"] == [
        f"{tmp_path / 'w.ckpt'}: took the weights under 'state_dict.model.', removed _orig_mod. from their names, "
        "left out state_dict.loss.weight"
    ]
    assert all(torch.equal(value, found.state_dict()[name]) for name, value in plain.state_dict().items())
