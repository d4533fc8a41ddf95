from __future__ import annotations

import email.message
import inspect
import math
import re
import sys
import time
import urllib.error
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import safetensors.torch
import torch

from maskwright import models
from maskwright.core.classes import Classes
from maskwright.core.errors import MaskwrightError
from maskwright.core.plan import DataPlan, ModelPlan
from maskwright.models import bundle, decoders
from maskwright.models.backbones import BACKBONES, find_backbone, hub
from maskwright.models.build import SHARED
from maskwright.models.catalog import IMPORTED, find_model

if TYPE_CHECKING:
    from collections.abc import Callable

    Build = Callable[..., models.Segmenter]

SMALL = {"widths": (4, 6, 8, 10), "depths": (1, 1, 1, 1)}


@pytest.mark.parametrize("name", sorted({**models.MODELS, **models.OBJECT_MODELS, **models.PIXEL_MODELS, **IMPORTED}))
def test_every_entry_is_complete(name: str) -> None:
    entry = find_model(name)
    assert (entry.default_backbone in models.BACKBONES) is (name not in IMPORTED)
    assert entry.url.startswith("https://")
    assert 1980 < entry.year < 2100
    assert entry.paper
    assert len(entry.summary) < 100
    first = (inspect.getdoc(inspect.getmodule(_function(entry.builder))) or "").split("\n\n")
    assert str(entry.year) in first[1], "the file names the paper first"
    of_model = set(inspect.signature(entry.builder).parameters)
    assert not of_model & set(inspect.signature(models.BACKBONES["compact"].builder).parameters)


def test_every_decoder_file_is_in_the_catalog() -> None:
    files = {path.stem for path in Path(decoders.__file__).parent.glob("*.py")} - {"__init__"}
    every = [*models.MODELS.values(), *IMPORTED.values()]
    assert files == {_function(entry.builder).__module__.rpartition(".")[2] for entry in every}


def _function(builder: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function that a member of a family is made of."""
    return getattr(builder, "func", builder)


def test_an_unknown_model_is_named_with_the_nearest() -> None:
    with pytest.raises(MaskwrightError, match=r"unknown model 'swifnet': did you mean 'swiftnet'\?"):
        models.create("swifnet", 2)


@pytest.mark.parametrize(
    ("name", "near"), [("resnet19", "resnet18"), ("compct", "compact"), ("timm:resnet1", "resnet1")]
)
def test_an_unknown_backbone_is_named_with_the_nearest(name: str, near: str) -> None:
    with pytest.raises(MaskwrightError, match=f"unknown backbone '{name}': did you mean '{near}"):
        models.create("swiftnet", 2, backbone=name)


@pytest.mark.parametrize("name", ["timm:tf_efficientnet_lite0.foo", "tf_efficientnet_lite0.foo"])
def test_unknown_pretrained_weights_are_named_with_the_known_ones(name: str) -> None:
    with pytest.raises(MaskwrightError, match=r"unknown pretrained weights 'tf_.*foo'.* Available: .*lite0\.in1k"):
        models.create("swiftnet", 2, backbone=name)


def test_a_network_of_timm_may_be_named_without_weights() -> None:
    assert find_backbone("timm:resnet50_mlp.untrained").timm == "resnet50_mlp.untrained"


def test_an_unknown_option_is_named_with_the_known_ones() -> None:
    with pytest.raises(
        MaskwrightError, match=r"unknown option of swiftnet with compact 'widht': did you mean 'width'\?"
    ) as hit:
        models.create("swiftnet", 2, widht=3)
    assert all(option in str(hit.value) for option in ("finest", "grids", "depths", "stem"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"classes": 0}, "classes is 0, but a model has 1 to 255 classes"),
        ({"classes": 256}, "classes is 256, but a model has 1 to 255 classes"),
        ({"in_channels": 0}, "in_channels is 0, but a model takes images of 1 channel or more"),
        ({"dropout": 1.0}, "dropout is 1.0, but must be at least 0 and below 1"),
        ({"backbone": "unet", "drop": float("nan")}, "option drop of swiftnet with unet is nan"),
        (
            {"width": "wide"},
            r"option width of swiftnet with compact is 'wide': set a whole number, such as its default, 64$",
        ),
        ({"align_corners": 1}, "option align_corners of swiftnet with compact is 1: set true or false$"),
        ({"width": True}, "option width .* is True"),
        ({"grids": [1, "a"]}, r"option grids .* set a list of whole numbers, such as its default, \[8, 4, 2, 1\]$"),
        ({"width": 0}, "must all be 1 or more"),
        ({"stem": 3}, "stem is 3, but must be 2 or 4"),
        ({"output_stride": 7}, "output_stride is 7"),
        ({"widths": [3, 4]}, "do not match"),
        ({"name": "unet", "finest": 3}, "finest, 3, one of 1, 2, 4, 8 and 16"),
        ({"name": "pspnet", "backbone": "compact", "grids": [0]}, "grids \\[0\\] must be 1 or more"),
        ({"name": "deeplabv3plus", "backbone": "compact", "rates": [0]}, "rates \\[0\\]"),
        ({"name": "fcn", "backbone": "compact", "auxiliary": 1}, "option auxiliary"),
        ({"name": "unet", "layout": "tf"}, "layout is 'tf', but must be one of modern, paper, smp"),
        ({"name": "unet++", "layout": "tf"}, "layout is 'tf', but must be one of paper, smp"),
        ({"name": "unet++", "finest": 3}, "finest, 3, one of 1, 2, 4, 8 and 16"),
        ({"name": "unet2015", "levels": 1}, "levels 1 from 2 to 8"),
        ({"name": "swiftnet", "backbone": "unet", "valid": True}, "SwiftNetDecoder does not crop .* valid=false"),
        ({"name": "deeplabv3", "rates": [0]}, "rates \\[0\\] must all be 1 or more"),
        ({"name": "deeplabv3", "multi_grid": [0]}, "multi_grid \\[0\\]"),
        ({"name": "deeplabv3", "backbone": "convnext_tiny"}, "multi_grid \\[1, 2, 4\\], because .* choose resnet18"),
        ({"name": "deeplabv3plus", "layout": "tf"}, "layout is 'tf', but must be one of paper, smp"),
        ({"backbone": "resnet18", "output_stride": 4}, "must be 8, 16 or 32"),
        ({"pretrained": True, "weights": "x.safetensors"}, "both pretrained weights and the file x.safetensors"),
    ],
)
def test_a_value_outside_its_rule_is_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(MaskwrightError, match=message):
        models.create(**{"name": "swiftnet", "classes": 2, **settings})


def test_options_reach_their_part_and_lists_stand_for_tuples() -> None:
    plan = ModelPlan(name="unet", backbone="compact", options={"widths": [4, 5], "depths": [1, 2], "channels": [7]})
    model = models.create_from_plan(plan, 2, 1)
    assert model.backbone.channels == (4, 4, 5)
    assert model.decoder.channels == 7
    assert models.options_of("fcn")["output_stride"] == 8
    assert models.create("fcn", 2, backbone="compact", output_stride=16).native_stride == 16


def test_any_level_of_any_architecture_can_have_an_auxiliary_head() -> None:
    plan = ModelPlan(name="swiftnet", backbone="compact", aux_levels=[-1, 1], options={"widths": [4, 6, 8, 8]})
    model = models.create_from_plan(plan, 3, 3)
    main, *others = model(torch.randn(2, 3, 40, 40), with_aux=True, upsample=False)
    assert [head.level for head in model.aux] == [len(model.backbone.channels) - 1, 1]
    assert [other.shape for other in others] == [main.shape] * 2
    sum(other.square().mean() for other in others).backward()
    assert all(weight.grad is not None for weight in model.aux.parameters())
    assert len(models.create_from_plan(ModelPlan(name="fcn", backbone="compact", aux_levels=[]), 2, 3).aux) == 0
    assert len(models.create_from_plan(ModelPlan(name="fcn", backbone="compact"), 2, 3).aux) == 1


@pytest.mark.parametrize(("name", "option"), [("unet++", "deep_supervision"), ("upernet", "auxiliary")])
def test_heads_asked_for_in_two_ways_are_refused(name: str, option: str) -> None:
    with pytest.raises(
        MaskwrightError, match=rf"model.aux_levels replaces the heads of {option}: set only one of them"
    ):
        models.create(name, 2, aux_levels=[1], **{option: True}, **SMALL)


@pytest.mark.parametrize("levels", [[9], [-9], [0, 0], [1, -4]])
def test_a_level_that_is_not_there_or_twice_is_named(levels: list[int]) -> None:
    with pytest.raises(MaskwrightError, match=r"model.aux_levels is \[.*levels 0 to 4, of stride 2, 4, 8, 16, 32"):
        models.create("swiftnet", 2, aux_levels=levels)


def test_dropout_acts_in_training_only(small: Build) -> None:
    model, image = small(), torch.randn(1, 3, 32, 32)
    dropping = models.create("swiftnet", 3, 3, "compact", dropout=0.5, **SMALL).train()
    torch.nn.init.ones_(dropping.head[1].weight)
    assert dropping.head[0].p == 0.5
    assert not torch.equal(dropping(image), dropping(image))
    assert torch.equal(model.eval()(image), model(image))


@pytest.mark.parametrize(
    ("backbone", "message"),
    [
        ("hrnet_w18", "cannot run at output stride 8: set output_stride=32"),
        ("timm:test_vit", "cannot run at output stride 8: set output_stride=32"),
    ],
)
def test_a_backbone_that_cannot_be_dilated_says_so(backbone: str, message: str) -> None:
    with pytest.raises(MaskwrightError, match=message):
        models.create("fcn", 2, backbone=backbone)


def test_a_network_for_one_size_says_so() -> None:
    with pytest.raises(MaskwrightError, match=r"does not take images of 64x64 .* made for one image size"):
        models.create("swiftnet", 2, backbone="timm:maxvit_rmlp_pico_rw_256")


def test_a_backbone_without_a_pyramid_is_refused_where_one_is_needed() -> None:
    with pytest.raises(MaskwrightError, match="needs a level finer than the last"):
        models.create("deeplabv3plus", 2, backbone="compact", widths=[4], depths=[1])


@pytest.mark.parametrize(
    "backbone", ["mobilenetv3_large_100", "timm:test_convnext", "test_resnet", "timm:swin_s3_tiny_224"]
)
def test_timm_backbones_of_several_kinds(backbone: str) -> None:
    model = models.create("swiftnet", 2, 5, backbone, width=8).train()
    logits = model(torch.randn(2, 5, 70, 45))
    assert logits.shape == (2, 2, 70, 45)
    logits.square().sum().backward()
    assert model.backbone.in_channels == 5


def _card(classes: int) -> bundle.Card:
    names = Classes.named([f"class {index}" for index in range(classes)])
    plan = ModelPlan(backbone="compact", options={key: list(value) for key, value in SMALL.items()})
    return bundle.Card(model=plan, classes=bundle.CardClasses.of(names), data=DataPlan())


def test_a_whole_model_is_not_taken_for_a_backbone(small: Build, tmp_path: Path) -> None:
    bundle.save(tmp_path / "m.safetensors", small(classes=3), _card(3))
    with pytest.raises(MaskwrightError, match=r"m\.safetensors contains a whole model, .* with `from_run`"):
        models.create("swiftnet", 3, backbone="compact", weights=tmp_path / "m.safetensors", **SMALL)


def test_training_can_start_from_backbone_weights(small: Build, tmp_path: Path) -> None:
    before = small().backbone
    safetensors.torch.save_file(before.state_dict(), tmp_path / "b.safetensors")
    after = models.create("unet", 2, backbone="compact", weights=tmp_path / "b.safetensors", **SMALL).backbone
    assert all(torch.equal(after.state_dict()[key], value) for key, value in before.state_dict().items())
    with pytest.raises(MaskwrightError, match=r"b\.safetensors does not fit the network"):
        models.create("unet", 2, 4, backbone="compact", weights=tmp_path / "b.safetensors", **SMALL)


@pytest.mark.parametrize("channels", [3, 1, 5])
def test_timm_weights_from_a_file(tmp_path: Path, channels: int) -> None:
    timm = pytest.importorskip("timm")
    published = timm.create_model("test_resnet")
    safetensors.torch.save_file(published.state_dict(), tmp_path / "w.safetensors")
    model = models.create("swiftnet", 2, channels, "timm:test_resnet", weights=tmp_path / "w.safetensors", width=8)
    own = dict(model.backbone.network.named_parameters())
    same = [name for name, value in own.items() if name in published.state_dict() and _equal(value, published, name)]
    assert len(same) == len(own) - (channels != 3)


def _equal(value: torch.Tensor, published: torch.nn.Module, name: str) -> bool:
    other = published.state_dict()[name]
    return value.shape == other.shape and torch.equal(value, other)


@pytest.mark.parametrize("content", ["another network", "nothing"])
def test_timm_weights_that_do_not_fit_are_refused(tmp_path: Path, content: str) -> None:
    timm = pytest.importorskip("timm")
    tensors = timm.create_model("test_efficientnet").state_dict() if content == "another network" else {}
    safetensors.torch.save_file({"x": torch.zeros(1), **tensors}, tmp_path / "w.safetensors")
    with pytest.raises(MaskwrightError, match=r"w\.safetensors does not fit timm's resnet18"):
        models.create("swiftnet", 2, backbone="resnet18", weights=tmp_path / "w.safetensors")


@pytest.mark.parametrize("lost", ["conv1.0.weight", "conv1.1.running_mean", "layer4.0.conv2.weight"])
def test_timm_weights_that_lack_a_part_are_refused(tmp_path: Path, lost: str) -> None:
    timm = pytest.importorskip("timm")
    state = {name: tensor + 0.1 for name, tensor in timm.create_model("test_resnet").state_dict().items()}
    safetensors.torch.save_file(
        {name: value for name, value in state.items() if name != lost}, tmp_path / "w.safetensors"
    )
    assert lost in state
    with pytest.raises(MaskwrightError, match=rf"does not fit timm's test_resnet: 1 of .* \(.*{re.escape(lost)}\)"):
        models.create("swiftnet", 2, backbone="timm:test_resnet", weights=tmp_path / "w.safetensors", width=8)


def test_weights_of_a_deeper_network_and_fresh_ones_without_statistics_are_refused(tmp_path: Path) -> None:
    timm = pytest.importorskip("timm")
    torch.save(timm.create_model("resnet34").state_dict(), tmp_path / "deeper.pth")
    with pytest.raises(MaskwrightError, match=r"does not fit timm's resnet18: the file holds \d+ more \(layer1\.2\."):
        models.create("fcn", 2, backbone="resnet18", weights=tmp_path / "deeper.pth")
    state = timm.create_model("resnet18").state_dict()
    torch.save({name: value for name, value in state.items() if "running" not in name}, tmp_path / "half.pth")
    with pytest.raises(MaskwrightError, match=r"40 of its tensors are not in the file .*running_mean"):
        models.create("fcn", 2, backbone="resnet18", weights=tmp_path / "half.pth")


@pytest.mark.parametrize("channels", [3, 1])
def test_nothing_passes_for_the_first_layer_that_only_has_its_size(tmp_path: Path, channels: int) -> None:
    timm = pytest.importorskip("timm")
    state = timm.create_model("mobilenetv2_035").state_dict()
    assert state["blocks.0.0.conv_dw.weight"].shape[0] == state["conv_stem.weight"].shape[0], "or it proves nothing"
    del state["blocks.0.0.conv_dw.weight"]
    safetensors.torch.save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(MaskwrightError, match=r"does not fit timm's mobilenetv2_035: 1 of .*conv_dw"):
        models.create("fcn", 2, channels, "timm:mobilenetv2_035", weights=tmp_path / "w.safetensors", output_stride=32)


@pytest.mark.parametrize("kind", ["channels_last", "float64", "float16"])
def test_weights_are_the_same_in_any_order_of_memory_and_precision(tmp_path: Path, kind: str) -> None:
    timm = pytest.importorskip("timm")
    published = timm.create_model("test_resnet")
    if kind == "channels_last":
        published.to(memory_format=torch.channels_last)
    else:
        published.to(getattr(torch, kind))
    torch.save(published.state_dict(), tmp_path / "w.pth")
    model = models.create("swiftnet", 2, 3, "timm:test_resnet", weights=tmp_path / "w.pth", width=8)
    assert torch.equal(model.backbone.network.conv1[0].weight, published.conv1[0].weight.float().contiguous())


@pytest.mark.parametrize("wrapped", ["alone", "in a checkpoint", "by data parallelism"])
def test_weights_of_torch_save_are_read_as_data(small: Build, tmp_path: Path, wrapped: str) -> None:
    before = small().backbone
    state: dict[str, object] = dict(before.state_dict())
    if wrapped == "by data parallelism":
        state = {f"module.{name}": tensor for name, tensor in state.items()}
    torch.save({"epoch": 3, "state_dict": state} if wrapped == "in a checkpoint" else state, tmp_path / "w.pth")
    after = models.create("unet", 2, backbone="compact", weights=tmp_path / "w.pth", **SMALL).backbone
    assert all(torch.equal(after.state_dict()[key], value) for key, value in before.state_dict().items())


def test_weights_that_are_no_numbers_are_refused(small: Build, tmp_path: Path) -> None:
    state = small().backbone.state_dict()
    name = next(iter(state))
    state[name][0] = math.nan
    safetensors.torch.save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(MaskwrightError, match=rf"w\.safetensors: {re.escape(name)} contains NaN values"):
        models.create("unet", 2, backbone="compact", weights=tmp_path / "w.safetensors", **SMALL)


def test_weights_of_another_backbone_name_the_one_that_there_is(tmp_path: Path) -> None:
    timm = pytest.importorskip("timm")
    safetensors.torch.save_file(timm.create_model("test_resnet").state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(MaskwrightError, match=r"does not fit .* The backbone is compact: .* with `backbone`"):
        models.create("swiftnet", 2, weights=tmp_path / "w.safetensors")


@pytest.fixture
def _empty_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "_cached", lambda _repository: None)


@pytest.mark.usefixtures("_empty_cache")
def test_a_hub_that_never_answers_is_given_up_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "SECONDS", 0.2)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("urllib.request.urlopen", _asleep)
    started = time.monotonic()
    available, reason = models.pretrained_available("resnet18")
    assert time.monotonic() - started < 1.5
    assert not available
    assert "out of reach: no answer within 0.2 seconds" in reason
    assert "apache-2.0" in reason


@pytest.mark.usefixtures("_empty_cache")
def test_a_proxy_that_refuses_is_no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("urllib.request.urlopen", _refused)
    assert models.pretrained_available("resnet18")[1].endswith("out of reach: Forbidden")


@pytest.mark.usefixtures("_empty_cache")
def test_pretrained_weights_out_of_reach_are_an_error_with_a_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(MaskwrightError, match=r"HF_HUB_OFFLINE is set\. Train from scratch .*`weights`"):
        models.create("swiftnet", 2, backbone="resnet18", pretrained=True)


@pytest.mark.usefixtures("_empty_cache")
def test_a_download_that_breaks_off_is_an_error_with_a_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "_out_of_reach", lambda _address: None)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", _broken)
    assert models.pretrained_available("resnet18")[0]
    with pytest.raises(MaskwrightError, match=r"could not be fetched \(line cut\).*model\.pretrained=false"):
        models.create("swiftnet", 2, backbone="resnet18", pretrained=True)


def _asleep(*_args: object, **_settings: object) -> None:
    time.sleep(2)
    raise ConnectionError("too late")


def _refused(*_args: object, **_settings: object) -> None:
    raise urllib.error.HTTPError("https://hub", 403, "Forbidden", email.message.Message(), None)


def _broken(*_args: object, **_settings: object) -> None:
    raise ConnectionError("line cut")


def test_pretrained_weights_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    timm = pytest.importorskip("timm")
    published = timm.create_model("resnet18")
    safetensors.torch.save_file(published.state_dict(), tmp_path / "model.safetensors")
    monkeypatch.setattr(hub, "_cached", lambda _repository: tmp_path / "model.safetensors")
    monkeypatch.setattr("socket.getaddrinfo", lambda *_a, **_k: pytest.fail("the network was touched"))
    assert models.pretrained_available("timm:resnet18") == (
        True,
        "the weights timm/resnet18.a1_in1k (apache-2.0) are in the local cache",
    )
    model = models.create("swiftnet", 2, backbone="resnet18", pretrained=True)
    assert torch.equal(model.backbone.network.conv1.weight, published.conv1.weight)


def test_there_are_no_published_weights_for_our_own_backbone() -> None:
    assert models.pretrained_available("compact") == (False, "there are no published weights for the backbone compact")


def test_importing_the_room_imports_no_timm() -> None:
    import subprocess

    check = "import sys, maskwright.models; sys.exit('timm' in sys.modules or 'huggingface_hub' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


def test_no_option_of_a_decoder_is_taken_by_a_backbone_too() -> None:
    """Options of both stand side by side: one name for two things would set the one unasked with the other."""
    of_backbones = {key: name for name, entry in BACKBONES.items() for key in keywords(entry.builder)}
    clashes = [
        f"{key} of {model} and {of_backbones[key]}"
        for model, entry in models.MODELS.items()
        for key in keywords(entry.builder)
        if key in of_backbones
    ]
    assert clashes == []
    assert not set(SHARED) & set(of_backbones)


def keywords(builder: Callable[..., Any]) -> list[str]:
    """Return the names that can be given as options."""
    return [one.name for one in inspect.signature(builder).parameters.values() if one.kind is one.KEYWORD_ONLY]
