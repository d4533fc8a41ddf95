"""Imported weights give the outputs of the library that they come from, built on the spot with random weights."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

import pytest
import safetensors.torch
import torch
from huggingface_hub import errors as hub_errors
from tests.models.references import close, continued, shaken, smp_only, unnoticed
from torch import nn

from maskwright import models
from maskwright.core.errors import MaskwrightError
from maskwright.models import bundle
from maskwright.models.backbones import hub
from maskwright.models.importers import import_model
from maskwright.models.importers.naming import renamed
from maskwright.models.importers.transformers import CONVNEXT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path


def test_fcn_of_torchvision(tmp_path: Path) -> None:
    build = pytest.importorskip("torchvision").models.segmentation.fcn_resnet50
    reference = shaken(build(weights=None, weights_backbone=None, num_classes=4, aux_loss=True))
    state, file = reference.state_dict(), tmp_path / "fcn.safetensors"
    safetensors.torch.save_file(state, file)
    ours, card = import_model("torchvision:fcn_resnet50", file, ["a", "b", "c", "d"])
    assert card.classes.names == ["a", "b", "c", "d"]
    assert card.data.mean == pytest.approx([123.675, 116.28, 103.53])
    for size in [(72, 48), (49, 90)]:
        image = torch.randn(1, 3, *size)
        expected = reference(continued(image, 8))
        for logits, key in zip(ours(image, with_aux=True), ("out", "aux"), strict=True):
            close(logits, expected[key][:, :, : size[0], : size[1]])
    # Trained without the auxiliary head, and saved by a torch that counted no batches.
    absent = ("aux_classifier.", "num_batches_tracked")
    old = {name: tensor for name, tensor in state.items() if not any(part in name for part in absent)}
    safetensors.torch.save_file(old, file)
    again, card = import_model("torchvision:fcn_resnet50", file)
    assert card.classes.names == ["class_0", "class_1", "class_2", "class_3"]
    assert len(again.aux) == 0
    assert torch.equal(again(image), ours(image))


def smp_model(name: str, **settings: Any) -> nn.Module:
    smp = pytest.importorskip("segmentation_models_pytorch", reason="the judge is in the extra `dev`")
    return shaken(getattr(smp, name)(encoder_weights=None, **settings))


SMP: dict[str, tuple[str, dict[str, Any]]] = {
    "unet": ("Unet", {"encoder_name": "resnet18", "classes": 3}),
    "unet, its widths and channels": (
        "Unet",
        {"encoder_name": "tu-resnet10t", "classes": 2, "in_channels": 5, "decoder_channels": (32, 16, 8, 8, 4)},
    ),
    "unet over a transformer": ("Unet", {"encoder_name": "mit_b0", "classes": 2}),
    "unet++": ("UnetPlusPlus", {"encoder_name": "resnet18", "classes": 2, "decoder_channels": (24, 20, 16, 12, 8)}),
    "deeplabv3+": ("DeepLabV3Plus", {"encoder_name": "resnet18", "classes": 3, "decoder_channels": 24}),
    "deeplabv3+ at stride 8": (
        "DeepLabV3Plus",
        {"encoder_name": "resnet18", "classes": 2, "decoder_channels": 16, "encoder_output_stride": 8},
    ),
    "deeplabv3+ over timm's": (
        "DeepLabV3Plus",
        {"encoder_name": "tu-resnet10t", "classes": 2, "decoder_channels": 16, "decoder_atrous_rates": (6, 12, 18)},
    ),
    "fpn": ("FPN", {"encoder_name": "resnet18", "classes": 3, "decoder_pyramid_channels": 24}),
    "upernet": ("UPerNet", {"encoder_name": "resnet18", "classes": 3, "decoder_channels": 24}),
    "segformer": ("Segformer", {"encoder_name": "mit_b0", "classes": 3, "decoder_segmentation_channels": 24}),
}


@smp_only
@pytest.mark.parametrize("case", SMP)
def test_segmentation_models_pytorch(tmp_path: Path, case: str) -> None:
    name, settings = SMP[case]
    reference = smp_model(name, **settings)
    reference.save_pretrained(tmp_path / "saved")
    ours, card = import_model(f"smp:{tmp_path / 'saved'}")
    assert len(card.classes.names) == settings["classes"]
    for size in [(64, 96), (96, 32)]:
        image = torch.randn(1, settings.get("in_channels", 3), *size)
        close(ours(image), reference(image))


@smp_only
@pytest.mark.parametrize(
    ("name", "encoder", "message"),
    [
        ("DeepLabV3Plus", "mit_b0", "mit_b0 with DeepLabV3. at output stride 16, "),
        ("UnetPlusPlus", "tu-test_convnext", "tu-test_convnext with UNet.., and its finest level has stride 4: "),
    ],
)
def test_the_encoder_that_stands_in_the_way_is_named(tmp_path: Path, name: str, encoder: str, message: str) -> None:
    smp_model(name, encoder_name=encoder).save_pretrained(tmp_path)
    with pytest.raises(MaskwrightError, match=message):
        import_model(f"smp:{tmp_path}")


@pytest.mark.parametrize(
    ("name", "settings"),
    [("deeplabv3_resnet50", {"aux_loss": True}), ("lraspp_mobilenet_v3_large", {})],
)
def test_deeplabv3_and_lraspp_of_torchvision(tmp_path: Path, name: str, settings: dict[str, Any]) -> None:
    build = getattr(pytest.importorskip("torchvision").models.segmentation, name)
    reference = shaken(build(weights=None, weights_backbone=None, num_classes=21, **settings))
    safetensors.torch.save_file(reference.state_dict(), tmp_path / "w.safetensors")
    ours, card = import_model(f"torchvision:{name}", tmp_path / "w.safetensors")
    assert (card.classes.names[0], card.classes.names[-1]) == ("background", "tvmonitor")
    for size in [(64, 48), (32, 80)]:
        image = torch.randn(1, 3, *size)
        close(ours(image), reference(image)["out"])


def small_segformer(id2label: Mapping[int, str] = {0: "wall", 1: "screen", 2: "screen"}) -> Any:
    transformers = pytest.importorskip("transformers", reason="the judge is in the extra `dev`")
    config = transformers.SegformerConfig(
        hidden_sizes=[8, 16, 24, 32],
        depths=[1, 2, 1, 1],
        num_attention_heads=[1, 2, 3, 4],
        decoder_hidden_size=12,
        id2label=id2label,
    )
    return shaken(transformers.SegformerForSemanticSegmentation(config))


@pytest.mark.parametrize("names", ["published", "in memory"])
def test_segformer_of_transformers(tmp_path: Path, names: str) -> None:
    reference = small_segformer()
    reference.save_pretrained(tmp_path)
    if names == "in memory":
        safetensors.torch.save_file(reference.state_dict(), tmp_path / "model.safetensors")
    seen = {"image_mean": [0.5] * 3, "image_std": [0.25] * 3, "size": {"height": 640, "width": 512}}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(seen), encoding="utf-8")
    ours, card = import_model(f"transformers:{tmp_path}")
    assert card.classes.names == ["wall", "screen", "screen (2)"]
    assert (card.data.mean, card.data.std) == ([127.5] * 3, [63.75] * 3)
    assert card.predict.tile == (640, 512)
    for size in [(64, 96), (96, 32)]:
        image = torch.randn(1, 3, *size)
        close(ours(image, upsample=False), reference(image).logits)


def test_a_name_with_escape_sequences_is_refused(tmp_path: Path) -> None:
    small_segformer().save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    config["id2label"]["1"] = "\x1b[31mscreen\n"
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(MaskwrightError, match=r"screen.n' contains the control character .* or with `read.classes`"):
        import_model(f"transformers:{tmp_path}")
    assert import_model(f"transformers:{tmp_path}", classes=["a", "b", "c"])[1].classes.names == ["a", "b", "c"]


WILD = [None, 0, -1, "x", [], {}, [0], [None] * 4, float("nan"), True, 1.5, {"a": 1}]


@pytest.mark.parametrize("file", ["config.json", "preprocessor_config.json"])
def test_a_description_with_anything_in_it_is_imported_or_refused_in_words(tmp_path: Path, file: str) -> None:
    small_segformer().save_pretrained(tmp_path)
    seen = {"image_mean": [0.5] * 3, "image_std": [0.25] * 3, "size": {"height": 640, "width": 512}}
    seen |= {"do_rescale": True, "rescale_factor": 0.01, "do_normalize": True}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(seen), encoding="utf-8")
    whole = json.loads((tmp_path / file).read_text(encoding="utf-8"))
    refused = 0
    for key, value in itertools.product(whole, WILD):
        (tmp_path / file).write_text(json.dumps({**whole, key: value}), encoding="utf-8")
        try:
            import_model(f"transformers:{tmp_path}")
        except MaskwrightError as error:
            assert str(tmp_path) in str(error)  # noqa: PT017 - either outcome is right
            refused += 1
    assert refused > 2 * len(WILD)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("hidden_sizes", [12 << 17] * 4),
        ("decoder_hidden_size", 10**9),
        ("mlp_ratios", [10**6] * 4),
        ("depths", [10**7, 1, 1, 1]),
    ],
)
def test_a_description_gets_no_more_memory_than_its_weights_fill(tmp_path: Path, key: str, value: object) -> None:
    small_segformer().save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    (tmp_path / "config.json").write_text(json.dumps({**config, key: value}), encoding="utf-8")
    # A billion of billions: had it been built, no machine would have come this far.
    with pytest.raises(
        MaskwrightError, match=r"does not fit the network \(.* and \d+ more|has depths=.* only \d+ weight tensors"
    ):
        import_model(f"transformers:{tmp_path}")


@pytest.mark.parametrize("rows", [(), (0, 512), (257, 512)], ids=str)
def test_a_last_layer_without_a_number_of_classes_is_refused(tmp_path: Path, rows: tuple[int, ...]) -> None:
    safetensors.torch.save_file({"classifier.4.weight": torch.zeros(rows)}, tmp_path / "w.safetensors")
    with pytest.raises(MaskwrightError, match=r"w\.safetensors, the last layer, has shape .*can have 1 to 255"):
        import_model("torchvision:fcn_resnet50", tmp_path / "w.safetensors")


@pytest.mark.parametrize("prefix", ["", "model."])
def test_an_encoder_alone_is_no_network_but_starts_a_backbone(tmp_path: Path, prefix: str) -> None:
    small_segformer().save_pretrained(tmp_path)
    torch.manual_seed(0)
    encoder = models.create("unet", 2, backbone="timm:test_resnet").backbone.network.state_dict()
    file = tmp_path / "encoder.pth"
    torch.save({f"{prefix}encoder.{name}": tensor for name, tensor in encoder.items()}, file)
    with pytest.raises(
        MaskwrightError, match=r"an encoder alone; the decoder and the last layer are missing: .*`weights` and"
    ):
        import_model(f"transformers:{tmp_path}", file)
    started = models.create("unet", 2, backbone="timm:test_resnet", weights=file).backbone
    assert started.notes == (f"{file}: took the weights under '{prefix}encoder.'",)
    for name, tensor in started.network.state_dict().items():
        assert torch.equal(tensor, encoder[name]), name


def test_weights_that_lack_a_part_are_refused(tmp_path: Path) -> None:
    build = pytest.importorskip("torchvision").models.segmentation.lraspp_mobilenet_v3_large
    state = build(weights=None, weights_backbone=None, num_classes=3).state_dict()
    del state["classifier.high_classifier.bias"]
    safetensors.torch.save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(
        MaskwrightError, match=r"w\.safetensors \(.*is not in the form that its library writes .*high\.bias"
    ):
        import_model("torchvision:lraspp_mobilenet_v3_large", tmp_path / "w.safetensors")


@torch.no_grad()
def test_no_tensor_of_a_reference_can_be_wrong_unnoticed(tmp_path: Path) -> None:
    small_segformer().save_pretrained(tmp_path / "segformer")
    ours, _ = import_model(f"transformers:{tmp_path / 'segformer'}")
    assert unnoticed(ours, torch.randn(1, 3, 64, 96)) == []
    smp_model("FPN", encoder_name="tu-test_resnet", classes=3, decoder_pyramid_channels=24).save_pretrained(
        tmp_path / "fpn"
    )
    ours, _ = import_model(f"smp:{tmp_path / 'fpn'}")
    assert unnoticed(ours, torch.randn(1, 3, 64, 96)) == []


def test_upernet_of_transformers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    transformers = pytest.importorskip("transformers", reason="the judge is in the extra `dev`")
    depths, widths = (1, 2, 4, 2), (24, 32, 48, 64)
    monkeypatch.setitem(CONVNEXT, (depths, widths), "test_convnext")
    stages = [f"stage{stage}" for stage in (1, 2, 3, 4)]
    backbone = transformers.ConvNextConfig(depths=list(depths), hidden_sizes=list(widths), out_features=stages)
    config = transformers.UperNetConfig(backbone_config=backbone, hidden_size=16, num_labels=5)
    reference = shaken(transformers.UperNetForSemanticSegmentation(config))
    reference.save_pretrained(tmp_path)
    ours, card = import_model(f"transformers:{tmp_path}")
    assert card.classes.names == [f"class_{index}" for index in range(5)]
    assert "ImageNet" in card.summary["imported"]["notes"][0]
    for size in [(64, 96), (96, 32)]:
        image = torch.randn(1, 3, *size)
        close(ours(image), reference(image).logits)


@pytest.mark.parametrize("kind", ["maskformer", None])
def test_transformers_without_a_counterpart_are_refused(described: Callable[..., str], kind: str | None) -> None:
    with pytest.raises(
        MaskwrightError, match=rf"has the type {kind!r}, .* can be imported .* upernet, dpt, mask2former"
    ):
        import_model(described("transformers", model_type=kind))


@smp_only
def test_one_logit_becomes_background_and_foreground(tmp_path: Path) -> None:
    reference = smp_model("Unet", encoder_name="resnet18", classes=1)
    reference.save_pretrained(tmp_path / "saved")
    ours, card = import_model(f"smp:{tmp_path / 'saved'}")
    assert card.classes.names == ["background", "foreground"]
    image = torch.randn(1, 3, 32, 64)
    torch.testing.assert_close(ours(image).softmax(1)[:, 1], reference(image).sigmoid()[:, 0])


def test_one_logit_of_other_libraries_and_of_an_auxiliary_head_does_too(tmp_path: Path) -> None:
    build = pytest.importorskip("torchvision").models.segmentation.fcn_resnet50
    reference = shaken(build(weights=None, weights_backbone=None, num_classes=1, aux_loss=True))
    safetensors.torch.save_file(reference.state_dict(), tmp_path / "w.safetensors")
    ours, card = import_model("torchvision:fcn_resnet50", tmp_path / "w.safetensors")
    assert card.classes.names == ["background", "foreground"]
    assert "read through a sigmoid" in card.summary["imported"]["notes"][-1]
    image = torch.randn(1, 3, 64, 96)
    expected = reference(image)
    for logits, key in zip(ours(image, with_aux=True), ("out", "aux"), strict=True):
        close(logits[:, 1] - logits[:, 0], expected[key][:, 0])
    segformer = small_segformer(id2label={0: "crack"})
    segformer.save_pretrained(tmp_path / "saved")
    ours, card = import_model(f"transformers:{tmp_path / 'saved'}")
    assert card.classes.names == ["background", "crack"]
    logits = ours(image, upsample=False)
    close(logits[:, 1] - logits[:, 0], segformer(image).logits[:, 0])


@pytest.fixture
def described(tmp_path: Path) -> Callable[..., str]:
    """Write a folder as save_pretrained does, with next to no weights, and return its source."""

    def write(library: str = "smp", **config: Any) -> str:
        (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
        safetensors.torch.save_file({"x": torch.zeros(1)}, tmp_path / "model.safetensors")
        return f"{library}:{tmp_path}"

    return write


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "has no _model_class"),
        ({"_model_class": "Unett"}, r"unknown architecture of .* 'Unett': did you mean 'Unet'\?"),
        ({"_model_class": "Unet", "encoder_name": "vgg99"}, "uses the encoder vgg99, which has no counterpart"),
        ({"_model_class": "Unet", "encoder_depth": 4}, "encoder_depth=4, which has no counterpart here: only 5"),
        ({"_model_class": "Unet", "decoder_attention_type": "scse"}, "decoder_attention_type='scse'"),
        ({"_model_class": "Unet", "activation": "sigmoid", "classes": 3}, "lets classes overlap"),
        ({"_model_class": "FPN", "decoder_segmentation_channels": 64}, "only multiples of 128 can be imported"),
        ({"_model_class": "FPN", "decoder_merge_policy": "cat"}, "decoder_merge_policy='cat'"),
        ({"_model_class": "UPerNet", "upsampling": 8}, "upsampling=8"),
        ({"_model_class": "Segformer", "encoder_name": "resnet18"}, "only mit_b0, mit_b1"),
        ({"_model_class": "DeepLabV3Plus", "decoder_atrous_rates": [1, 2]}, "only three rates, at stride 8 even ones"),
        ({"_model_class": "Unet", "encoder_name": "resnet18"}, r"tensors that this architecture does not have \(x\)"),
    ],
)
def test_what_has_no_counterpart_is_refused(
    described: Callable[..., str], config: dict[str, Any], message: str
) -> None:
    with pytest.raises(MaskwrightError, match=message):
        import_model(described(**config))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("fcn_resnet50", "write LIBRARY:NAME"),
        ("torchvison:fcn_resnet50", r"did you mean 'torchvision'\?"),
        ("torchvision:fcn_resnet5", r"did you mean 'fcn_resnet50'\?"),
        ("smp:nowhere", "neither a folder nor a repository"),
    ],
)
def test_an_unknown_source_is_named(source: str, message: str) -> None:
    with pytest.raises(MaskwrightError, match=message):
        import_model(source)


def test_weights_without_a_description_say_what_is_missing(tmp_path: Path) -> None:
    safetensors.torch.save_file({"x": torch.zeros(1)}, tmp_path / "w.safetensors")
    with pytest.raises(MaskwrightError, match=r"no config\.json next to it"):
        import_model("smp:Unet", tmp_path / "w.safetensors")


@pytest.mark.parametrize("text", ["{", "[]", '"x"', "[" * 100_000])
def test_a_damaged_description_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text, encoding="utf-8")
    with pytest.raises(
        MaskwrightError, match=r"config\.json (is not a valid description|does not contain a JSON object)"
    ):
        import_model(f"smp:{tmp_path}")


@pytest.mark.parametrize("source", ["smp:owner/name", "transformers:owner/name"])
def test_a_hub_out_of_reach_is_an_error_with_a_cure(monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(MaskwrightError, match=r"HF_HUB_OFFLINE is set\. Try again online, or give local files"):
        import_model(source)


def test_a_file_with_as_many_classes_as_torchvisions_says_whose_names_it_got(tmp_path: Path) -> None:
    build = pytest.importorskip("torchvision").models.segmentation.lraspp_mobilenet_v3_large
    for count, told in ((21, True), (3, False)):
        state = build(weights=None, weights_backbone=None, num_classes=count).state_dict()
        safetensors.torch.save_file(state, tmp_path / "w.safetensors")
        notes = import_model("torchvision:lraspp_mobilenet_v3_large", tmp_path / "w.safetensors")[1].summary
        assert ("as it has 21 classes, they are assumed to be" in str(notes)) is told


@pytest.mark.parametrize(
    ("gone", "message"),
    [
        (hub_errors.LocalEntryNotFoundError("no route"), r"the hub was lost \(no route\): try again, or give"),
        (hub_errors.EntryNotFoundError("404"), "owner/name has no preprocessor_config.json"),
    ],
)
def test_a_network_that_goes_away_is_not_a_file_that_is_not_there(
    monkeypatch: pytest.MonkeyPatch, gone: Exception, message: str
) -> None:
    def download(*_given: object) -> Path:
        raise gone

    monkeypatch.setattr(hub, "_cached", lambda *_given: None)
    monkeypatch.setattr(hub, "_out_of_reach", lambda _address: None)
    monkeypatch.setattr(hub, "_download", download)
    with pytest.raises(MaskwrightError, match=message) as caught:
        hub.published_file("owner/name", "preprocessor_config.json")
    assert isinstance(caught.value, hub.NoSuchFile) is (type(gone) is hub_errors.EntryNotFoundError)


def test_published_files_come_from_the_cache_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "_cached", lambda _repository, file: tmp_path / file)
    monkeypatch.setattr("socket.getaddrinfo", lambda *_a, **_k: pytest.fail("the network was touched"))
    assert hub.published_file("owner/name", "config.json") == tmp_path / "config.json"


def test_class_names_must_be_as_many_as_the_classes(tmp_path: Path) -> None:
    smp_model("Unet", encoder_name="tu-resnet10t", classes=3).save_pretrained(tmp_path)
    with pytest.raises(MaskwrightError, match=r"2 class names were given, but .* has 3 classes"):
        import_model(f"smp:{tmp_path}", classes=["a", "b"])
    again = import_model(f"smp:{tmp_path}", classes=["a", "b", "c"])
    bundle.save(tmp_path / "m.safetensors", *again)
    assert bundle.load(tmp_path / "m.safetensors")[1].classes.names == ["a", "b", "c"]


def test_names_are_turned_by_the_first_row_that_fits() -> None:
    zero = torch.zeros(1)
    table = {"a.{n}.b{n}.": "x.{n}.{n}.", "a.": "y.", "gone.": ""}
    found = renamed({"a.1.b23.weight": zero, "a.bias": zero, "gone.now": zero}, table, "it")
    assert list(found) == ["x.1.23.weight", "y.bias"]
    with pytest.raises(MaskwrightError, match=r"it contains tensors .* \(b\.1, c, d and 1 more\)"):
        renamed({"b.1": zero, "c": zero, "d": zero, "e": zero}, table, "it")
