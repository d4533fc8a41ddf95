from __future__ import annotations

import json
import pickle
import shutil
from typing import TYPE_CHECKING, Any

import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from maskwright import models
from maskwright.core.channels import Channels
from maskwright.core.classes import Classes
from maskwright.core.errors import MaskwrightError
from maskwright.core.plan import DataPlan, ModelPlan
from maskwright.models import bundle
from maskwright.models.bundle import Card, CardClasses

if TYPE_CHECKING:
    from pathlib import Path

SMALL = {"widths": (4, 6, 8, 10), "depths": (1, 1, 1, 1)}
NAMES = ["sky", "tree", "Straße"]


def _made(name: str = "swiftnet", backbone: str | None = "compact", **options: Any) -> tuple[models.Segmenter, Card]:
    options = options or dict(SMALL)
    plan = ModelPlan(name=name, backbone=backbone, options={key: _plain(value) for key, value in options.items()})
    data = DataPlan(channels=2, mean=[1.0, 2.0], std=[3.0, 4.0])
    card = Card(
        model=plan,
        classes=CardClasses.of(Classes.named(NAMES)),
        data=data,
        decoding={"temperature": 1.3, "offsets": [0.5, -0.25, -0.25]},
        summary={"iou": 0.5},
    )
    model = models.create_from_plan(plan, len(NAMES), 2)
    model.train()(torch.randn(2, 2, 32, 32))
    return model, card


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bundle") / "new folder" / "model.safetensors"
    bundle.save(path, *_made())
    return path


@pytest.mark.parametrize("name", sorted(models.MODELS))
def test_a_bundle_gives_back_the_same_weights_outputs_and_card(tmp_path: Path, name: str) -> None:
    model, card = _made(name)
    bundle.save(tmp_path / "m.safetensors", model.to(memory_format=torch.channels_last), card)
    loaded, read = bundle.load(tmp_path / "m.safetensors")
    assert not loaded.training
    assert loaded.state_dict().keys() == model.state_dict().keys()
    assert all(torch.equal(loaded.state_dict()[key], value) for key, value in model.state_dict().items())
    image = torch.randn(1, 2, 33, 45)
    assert torch.allclose(loaded(image), model.eval()(image), atol=1e-5)
    kept = ("channels", "classes", "data", "predict", "postprocess", "decoding", "summary", "task")
    assert all(getattr(read, key) == getattr(card, key) for key in kept)
    assert read.classes.table().names == tuple(NAMES)
    assert bundle.read_card(tmp_path / "m.safetensors") == read


def test_a_timm_backbone_comes_back_without_the_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, card = _made("swiftnet", "resnet18", width=8)
    card.model.pretrained = True
    bundle.save(tmp_path / "m.safetensors", model, card)
    monkeypatch.setattr("socket.getaddrinfo", lambda *_a, **_k: pytest.fail("the network was touched"))
    loaded, read = bundle.load(tmp_path / "m.safetensors")
    image = torch.randn(1, 2, 40, 40)
    assert torch.equal(loaded(image), model.eval()(image))
    assert read.model.pretrained is False


def test_the_card_writes_out_every_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, card = _made("swiftnet", None, **SMALL)
    bundle.save(tmp_path / "m.safetensors", model, card)
    plan = bundle.read_card(tmp_path / "m.safetensors").model
    assert plan.backbone == "compact"
    assert plan.options.keys() == models.options_of("swiftnet").keys()
    assert card.model.backbone is None


def test_loading_leaves_the_random_state_alone(saved: Path) -> None:
    before = torch.get_rng_state()
    bundle.load(saved)
    assert torch.equal(torch.get_rng_state(), before)


def test_half_precision_weights_are_stored_as_float32(tmp_path: Path) -> None:
    model, card = _made()
    bundle.save(tmp_path / "m.safetensors", model.to(torch.bfloat16), card)
    tensors = safetensors.torch.load_file(tmp_path / "m.safetensors")
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float32, torch.int64}
    assert torch.equal(tensors["head.1.weight"], model.head[1].weight.float())


def test_a_failed_save_leaves_the_old_bundle(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "m.safetensors"
    shutil.copy(saved, path)
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(MaskwrightError, match="disk is full"):
        bundle.save(path, *_made())
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@settings(max_examples=40, deadline=None)
@given(share=st.floats(0, 0.999))
def test_a_cut_file_is_named(saved: Path, share: float) -> None:
    whole = saved.read_bytes()
    cut = saved.parent / "cut.safetensors"
    cut.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(MaskwrightError, match=r"cut\.safetensors is not a complete safetensors file.*Copy it again"):
        bundle.load(cut)


@settings(max_examples=40, deadline=None)
@given(content=st.binary(max_size=200))
def test_rubbish_is_refused(saved: Path, content: bytes) -> None:
    path = saved.parent / "rubbish.safetensors"
    path.write_bytes(content)
    with pytest.raises(MaskwrightError, match=r"rubbish\.safetensors"):
        bundle.load(path)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(MaskwrightError, match=r"none\.safetensors does not exist"):
        bundle.load(tmp_path / "none.safetensors")
    with pytest.raises(MaskwrightError, match="is a folder"):
        bundle.load(tmp_path)


@pytest.mark.parametrize("name", ["m.pt", "m.pth", "m.bin", "M.PTH"])
def test_a_pickle_is_never_opened(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(pickle.dumps(_Bomb()))
    with pytest.raises(MaskwrightError, match=r"is a pickle .* not a maskwright model file"):
        bundle.load(tmp_path / name)


def test_a_pickle_under_another_name_is_never_opened(tmp_path: Path) -> None:
    (tmp_path / "m.safetensors").write_bytes(pickle.dumps(_Bomb()))
    with pytest.raises(MaskwrightError, match=r"is a pickle .* not a maskwright model file"):
        bundle.load(tmp_path / "m.safetensors")


def test_somebody_elses_safetensors_is_told_apart(tmp_path: Path) -> None:
    safetensors.torch.save_file({"weight": torch.zeros(2)}, tmp_path / "m.safetensors")
    with pytest.raises(MaskwrightError, match="is not a model of maskwright: it has no card"):
        bundle.load(tmp_path / "m.safetensors")


def _changed(saved: Path, target: Path, change: dict[str, Any], drop: str = "", text: str | None = None) -> Path:
    """Copy a bundle, with some keys of its card or one of its tensors changed."""
    tensors = safetensors.torch.load_file(saved)
    tensors.pop(drop, None)
    card = json.loads(bundle.read_card(saved).model_dump_json()) | change
    safetensors.torch.save_file(tensors, target, {"maskwright": json.dumps(card) if text is None else text})
    return target


def test_a_newer_format_asks_for_an_update(saved: Path, tmp_path: Path) -> None:
    path = _changed(saved, tmp_path / "m.safetensors", {"format": 3, "maskwright": "9.9", "wonders": 1})
    with pytest.raises(MaskwrightError, match=r"written by maskwright 9\.9 in format 3.*up to 2: update maskwright"):
        bundle.load(path)


def test_an_older_format_asks_for_a_new_training(saved: Path, tmp_path: Path) -> None:
    path = _changed(saved, tmp_path / "m.safetensors", {"format": 1, "maskwright": "0.1", "temperature": 1.3})
    with pytest.raises(
        MaskwrightError, match=r"maskwright 0\.1 in format 1, and this version reads format 2: train the model again"
    ):
        bundle.read_card(path)


@pytest.mark.parametrize(("names", "activation"), [(["there"], "sigmoid"), (NAMES, "softmax")])
def test_a_card_without_channels_has_those_of_its_classes(names: list[str], activation: str) -> None:
    card = Card(model=ModelPlan(), classes=CardClasses.of(Classes.named(names)), data=DataPlan())
    (group,) = card.channels
    assert (group.name, group.count, group.activation) == ("classes", len(names), activation)


def test_channel_groups_of_another_task_come_back(tmp_path: Path) -> None:
    groups = (
        Channels(name="foreground", count=1, activation="sigmoid"),
        Channels(name="offset", count=2, activation="none", vector=True),
    )
    plan = ModelPlan(name="swiftnet", backbone="compact", options={key: _plain(value) for key, value in SMALL.items()})
    card = Card(model=plan, channels=groups, classes=CardClasses.of(Classes.named(["cell"])), data=DataPlan())
    model = models.create_from_plan(plan, groups, 3)
    bundle.save(tmp_path / "m.safetensors", model, card)
    loaded, read = bundle.load(tmp_path / "m.safetensors")
    assert read.channels == loaded.groups == groups
    assert loaded(torch.zeros(1, 3, 32, 32)).shape == (1, 3, 32, 32)


def test_category_ids_come_back_and_may_be_missing(saved: Path, tmp_path: Path) -> None:
    classes = Classes(("background", "a", "b"), ((0, 0, 0),) * 3, ids=(None, 3, 90))
    assert CardClasses.of(classes).table() == classes
    card = json.loads(bundle.read_card(saved).model_dump_json())
    del card["classes"]["ids"]
    old = _changed(saved, tmp_path / "old.safetensors", {}, text=json.dumps(card))
    assert bundle.read_card(old).classes.table().categories == {0: 1, 1: 2, 2: 3}


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"format": null, "maskwright": "1"}', '{"format": 2}'])
def test_a_damaged_card_is_named(saved: Path, tmp_path: Path, text: str) -> None:
    path = _changed(saved, tmp_path / "m.safetensors", {}, text=text)
    with pytest.raises(MaskwrightError, match=r"m\.safetensors: the card is damaged"):
        bundle.load(path)


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"temperature": 1.5}, "temperature"),  # its place in format 1
        ({"decoding": {"temperature": 0.0}}, "decoding.temperature is 0.0"),
        ({"decoding": {"temperature": [1.0]}}, "decoding.temperature is \\[1.0\\]"),
        ({"decoding": {"offsets": [0.1]}}, "decoding.offsets is .*one number per class .3."),
        ({"decoding": {"temperature": "warm"}}, "decoding.temperature"),
        ({"channels": [{"name": "classes", "count": 1, "activation": "softmax"}]}, "a softmax needs 2 channels"),
        ({"surprise": 1}, "surprise"),
        ({"classes": {"names": ["a", "a"], "colors": [(0, 0, 0)] * 2}}, "classes.*occurs twice"),
        ({"classes": {"names": ["a"], "colors": []}}, "1 class names but 0 colours"),
        ({"classes": {"names": [], "colors": []}}, "at least one class"),
        ({"classes": {"names": ["a"], "colors": [(0, 0, 0)], "ids": []}}, "1 class names but 0 category ids"),
        ({"task": 3}, "task"),
    ],
)
def test_a_card_changed_by_hand_is_named(saved: Path, tmp_path: Path, change: dict[str, Any], where: str) -> None:
    path = _changed(saved, tmp_path / "m.safetensors", change)
    with pytest.raises(MaskwrightError, match=f"damaged, or was edited by hand .*{where}"):
        bundle.load(path)


def test_weights_of_another_architecture_are_named(saved: Path, tmp_path: Path) -> None:
    plan = bundle.read_card(saved).model.model_dump(mode="json")
    plan["options"]["width"] = 17
    path = _changed(saved, tmp_path / "m.safetensors", {"model": plan})
    with pytest.raises(MaskwrightError, match=r"is \[64, .*\] and should be \[17, .* more\)"):
        bundle.load(path)


def test_a_missing_tensor_is_named(saved: Path, tmp_path: Path) -> None:
    path = _changed(saved, tmp_path / "m.safetensors", {}, drop="head.1.bias")
    with pytest.raises(MaskwrightError, match=r"does not fit the network \(head\.1\.bias is missing\)"):
        bundle.load(path)


class _Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return (pytest.fail, ("a pickle was opened",))
