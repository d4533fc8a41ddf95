"""Networks of transformers inside ours: DPT, Mask2Former and UPerNet over Swin, built at random on the spot."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import safetensors.torch
import torch
from tests.models.references import close, shaken, unnoticed
from torch import Tensor, nn

import maskwright as mw
from maskwright import models
from maskwright.core.errors import MaskwrightError
from maskwright.core.plan import ModelPlan
from maskwright.models import bundle
from maskwright.models.importers import import_model
from maskwright.models.transfer import take_over
from maskwright.models.weights import transformers_config

if TYPE_CHECKING:
    from pathlib import Path

transformers = pytest.importorskip("transformers", reason="an extra, and the judge, in the extra `dev`")

NETWORKS = {
    "upernet": transformers.UperNetForSemanticSegmentation,
    "dpt": transformers.DPTForSemanticSegmentation,
    "mask2former": transformers.Mask2FormerForUniversalSegmentation,
}
KINDS = list(NETWORKS)
SEEN = {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.25, 0.2, 0.3], "size": {"height": 64, "width": 64}}


def swin(**more: Any) -> Any:
    shape: dict[str, Any] = {"embed_dim": 8, "depths": [1, 2, 1, 1], "num_heads": [1, 2, 2, 4], "window_size": 3}
    stages = [f"stage{stage}" for stage in (1, 2, 3, 4)]
    return transformers.SwinConfig(image_size=64, out_features=stages, drop_path_rate=0.0, **shape, **more)


def reference(kind: str, classes: int = 5) -> nn.Module:
    """Return a small network of the library, every weight of its own."""
    if kind == "upernet":
        config = transformers.UperNetConfig(backbone_config=swin(), hidden_size=12, num_labels=classes)
    elif kind == "dpt":
        config = transformers.DPTConfig(
            hidden_size=16,
            num_hidden_layers=4,
            num_attention_heads=2,
            intermediate_size=24,
            image_size=64,
            patch_size=16,
            backbone_out_indices=[0, 1, 2, 3],
            num_labels=classes,
            neck_hidden_sizes=[6, 8, 10, 12],
            fusion_hidden_size=14,
            use_batch_norm_in_fusion_residual=True,
        )
    else:
        config = transformers.Mask2FormerConfig(
            feature_size=64,
            mask_feature_size=64,
            hidden_dim=64,
            num_attention_heads=2,
            encoder_layers=1,
            encoder_feedforward_dim=256,
            decoder_layers=4,
            dim_feedforward=512,
            num_queries=7,
            num_labels=classes,
            backbone_config=swin(),
        )
    return shaken(NETWORKS[kind](config))


def judged(network: Any, kind: str, image: Tensor) -> Tensor:
    """Return what the library says of an image: logits, or for Mask2Former the logarithm of the classes' scores."""
    if kind == "upernet":
        return network(image).logits
    if kind == "dpt" and image.shape[2] == image.shape[3]:
        return network(image).logits
    if kind == "dpt":  # the library's own model takes squares alone: its parts take more
        tokens = network.dpt(image, output_hidden_states=True).hidden_states[1:]
        return network.head(network.neck(list(tokens), image.shape[2] // 16, image.shape[3] // 16))
    found = network(image)
    masks = nn.functional.interpolate(found.masks_queries_logits, image.shape[2:], mode="bilinear").sigmoid()
    shares = found.class_queries_logits.softmax(-1)[..., :-1]
    return torch.stack(
        [(share[..., None, None] * mask[:, None]).sum(0).log() for share, mask in zip(shares, masks, strict=True)]
    )


@pytest.fixture
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.getaddrinfo", lambda *_a, **_k: pytest.fail("the network was touched"))


def saved(network: Any, folder: Path, **changed: Any) -> str:
    """Save as the library does, with a preprocessing, and return the source."""
    network.save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, **changed}), encoding="utf-8")
    (folder / "preprocessor_config.json").write_text(json.dumps(SEEN), encoding="utf-8")
    return f"transformers:{folder}"


# Of no effect by their nature: biases of the keys, which a softmax takes out again, and what a network does not read.
IDLE = ("key.bias", "k_proj.bias", "network.layernorm.", "swin.layernorm.", "fusion.layers.0.residual_layer1.")


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS)
def test_no_tensor_of_a_reference_can_be_wrong_unnoticed(tmp_path: Path, kind: str) -> None:
    ours, _ = import_model(saved(reference(kind), tmp_path))
    missed = unnoticed(ours, torch.randn(1, 3, 64, 64))
    assert [name for name in missed if not any(part in name for part in IDLE)] == []


@pytest.mark.usefixtures("_no_network")
@pytest.mark.parametrize("kind", KINDS)
def test_the_logits_are_the_librarys(tmp_path: Path, kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    network = reference(kind)
    source = saved(network, tmp_path, id2label={str(index): f"thing {index}" for index in range(5)})
    capfd.readouterr()
    ours, card = import_model(source)
    assert capfd.readouterr() == ("", ""), "the library keeps quiet"
    assert card.classes.names == [f"thing {index}" for index in range(5)]
    assert card.data.mean == pytest.approx([127.5, 102.0, 76.5])
    assert card.predict.tile == (64, 64)
    for size in [(64, 64), (96, 96), (32, 96)]:
        image = torch.randn(2, 3, *size)
        with torch.no_grad():
            found, expected = ours(image), judged(network, kind, image)
        assert found.shape == (2, 5, *size)
        assert expected.std() > 1e-3
        close(found, expected)


@pytest.mark.usefixtures("_no_network")
@pytest.mark.parametrize("kind", KINDS)
def test_a_model_file_predicts_as_the_library_does(tmp_path: Path, kind: str) -> None:
    network = reference(kind)
    result = mw.import_model(saved(network, tmp_path / "theirs"), tmp_path / "m.safetensors")
    model = mw.load(result.path)
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    mean, std = (torch.tensor(SEEN[key]) for key in ("image_mean", "image_std"))
    with torch.no_grad():
        expected = judged(network, kind, ((torch.tensor(image) / 255 - mean) / std).permute(2, 0, 1)[None].float())
    np.testing.assert_allclose(model.predict(image).maps, expected[0].softmax(0), atol=1e-4)
    assert model.predict(image[:33, :57]).labels.shape == (33, 57)


@pytest.mark.parametrize("kind", KINDS)
def test_an_odd_size_is_continued_and_cut(tmp_path: Path, kind: str) -> None:
    ours, _ = import_model(saved(reference(kind), tmp_path))
    image = torch.randn(1, 3, 33, 57)
    padded = nn.functional.pad(image, (0, 7, 0, 31), mode="reflect" if ours.mirrored else "replicate")
    with torch.no_grad():
        torch.testing.assert_close(ours(image), ours(padded)[:, :, :33, :57])


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_of_one_trains_the_same_with_checkpoints(tmp_path: Path, kind: str) -> None:
    ours, _ = import_model(saved(reference(kind), tmp_path))
    for layer in ours.modules():
        if isinstance(layer, nn.Dropout | nn.Dropout2d):
            layer.p = 0.0
    gradients, start = [], {name: value.clone() for name, value in ours.state_dict().items()}
    for enable in (False, True, False):
        ours.load_state_dict(start)  # statistics move with every image
        ours.train().zero_grad()
        ours.set_gradient_checkpointing(enable)
        assert any(getattr(layer, "gradient_checkpointing", False) for layer in ours.backbone.modules()) is enable
        torch.manual_seed(1)
        for size in [(33, 57), (8, 8)]:
            ours(torch.randn(1, 3, *size)).square().mean().backward()
        gradients.append([weight.grad for weight in ours.parameters() if weight.grad is not None])
        assert all(torch.isfinite(value).all() for value in [*gradients[-1], *ours.state_dict().values()])
    assert len(gradients[0]) > 50
    for one, two in [gradients[:2], gradients[::2]]:
        assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(one, two, strict=True))
    with torch.autocast("cpu", torch.bfloat16):
        assert ours.to(memory_format=torch.channels_last)(torch.randn(1, 3, 40, 40)).dtype is torch.float32


@pytest.mark.parametrize("kind", KINDS)
def test_a_training_for_other_classes_keeps_those_of_the_same_name(tmp_path: Path, kind: str) -> None:
    names = {str(index): name for index, name in enumerate("abcde")}
    before, card = import_model(saved(reference(kind), tmp_path, id2label=names))
    bundle.save(tmp_path / "m.safetensors", before, card)
    plan = ModelPlan(name=card.model.name, backbone=card.model.backbone, options=card.model.options)
    after = models.create_from_plan(plan, 2, 3)
    taken = take_over(after, plan, ["new", "D"], tmp_path / "m.safetensors")
    assert (taken.kept, taken.fresh) == (("D",), ("new",))
    key = "head.classes.weight" if kind == "mask2former" else "head.1.weight"
    assert torch.equal(after.state_dict()[key][1], before.state_dict()[key][3])
    others = [name for name in before.state_dict() if not name.startswith("head.")]
    assert all(torch.equal(after.state_dict()[name], before.state_dict()[name]) for name in others)


def test_scores_of_mask2former_are_its_softmax(tmp_path: Path) -> None:
    network = reference("mask2former")
    ours, _ = import_model(saved(network, tmp_path))
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        scores = judged(network, "mask2former", image).exp()
        torch.testing.assert_close(ours(image).softmax(1), scores / scores.sum(1, keepdim=True))


CODE = {"auto_map": {"AutoModel": "evil.Model"}}


@pytest.mark.usefixtures("_no_network")
@pytest.mark.parametrize(
    ("kind", "changed", "message"),
    [
        ("dpt", CODE, r"auto_map=.*requests code shipped with the weights: maskwright fetches and runs nothing"),
        ("upernet", {"trust_remote_code": True}, "trust_remote_code=True"),
        ("mask2former", {"use_timm_backbone": True}, "use_timm_backbone=True, which requests a backbone from timm"),
        ("upernet", {"use_pretrained_backbone": True}, "requests the published weights of a backbone"),
        ("dpt", {"backbone": "owner/name"}, "backbone='owner/name', which requests a backbone by its name"),
        ("dpt", {"is_hybrid": True}, "is_hybrid=True, which has no counterpart"),
        ("dpt", {"backbone_config": {"model_type": "swinv2"}}, "backbone_config="),
        ("dpt", {"hidden_size": "wide"}, "no network can be built from the description of dpt .*hidden_size"),
        ("dpt", {"hidden_size": 17}, "no network can be built from the description of dpt .*17"),
        ("dpt", {"patch_size": [16, 16]}, r"patch_size is \[16, 16\]"),
        ("mask2former", {"num_attention_heads": 5}, "no network can be built from the description of mask2former"),
        ("dpt", {"hidden_size": 18}, r"does not fit its description \(.* has another shape"),
        ("dpt", {"num_hidden_layers": 5}, r"does not fit its description \(.* is missing; .* and \d+ more\)"),
        (
            "mask2former",
            {"backbone_config": {"model_type": "convnext"}},
            "backbone 'convnext': only ResNet and Swin, described in full",
        ),
        ("mask2former", {"backbone_config": None}, "backbone None: only ResNet and Swin, described in full"),
        ("upernet", {"backbone_config": {"model_type": "swin", **CODE}}, "auto_map="),
        ("upernet", {"backbone_config": {"model_type": "swin", "use_absolute_embeddings": True}}, "absolute"),
        ("upernet", {"backbone_config": {"model_type": "resnet"}}, "only 'convnext' or 'swin' can be imported"),
    ],
)
def test_what_cannot_be_taken_is_refused(tmp_path: Path, kind: str, changed: dict[str, Any], message: str) -> None:
    with pytest.raises(MaskwrightError, match=message):
        import_model(saved(reference(kind), tmp_path, **changed))


def test_mask2former_with_one_class_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MaskwrightError, match="has 1 class, but Mask2Former compares classes, so it needs 2 or more"):
        import_model(saved(reference("mask2former", classes=1), tmp_path))


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    network = reference("dpt")
    source = saved(network, tmp_path)
    tensors = {**network.state_dict(), "strange": torch.zeros(1)}
    safetensors.torch.save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(MaskwrightError, match=r"does not fit its description \(strange is unknown\)"):
        import_model(source)


def test_without_the_library_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = saved(reference("dpt"), tmp_path)
    bundle.save(tmp_path / "m.safetensors", *import_model(source))
    monkeypatch.setattr(transformers_config, "find_spec", lambda _name: None)
    for act in (lambda: import_model(source), lambda: bundle.load(tmp_path / "m.safetensors")):
        with pytest.raises(MaskwrightError, match=r'not installed: pip install "maskwright\[transformers\]"'):
            act()


@pytest.mark.parametrize(
    ("name", "backbone", "config", "message"),
    [
        ("dpt", None, {}, "needs its description, .* start training from that file with `from_run`"),
        (
            "dpt",
            None,
            {"model_type": "dpt", "_attn_implementation": "owner/kernel"},
            "_attn_implementation is not a setting",
        ),
        (
            "dpt",
            None,
            {"model_type": "dpt", "reassemble_factors": [1, 2, 4, 0.5]},
            "reassemble_factors .* must decrease",
        ),
        ("dpt", None, {"model_type": "swin", "out_features": ["stage1"]}, "dpt needs the backbone transformers"),
        ("swiftnet", "transformers", {"model_type": "swin", "out_features": ["stem", "stage1"]}, "without a stem"),
        ("swiftnet", "transformers", {"model_type": "swin", "num_channels": 4}, "images of 4 channels, not 3"),
    ],
)
def test_a_description_changed_by_hand_is_refused(
    name: str, backbone: str | None, config: dict[str, Any], message: str
) -> None:
    with pytest.raises(MaskwrightError, match=message):
        models.create(name, 2, backbone=backbone, config=config)


def test_any_decoder_stands_on_an_imported_backbone(tmp_path: Path) -> None:
    _, card = import_model(saved(reference("mask2former"), tmp_path))
    model = models.create("swiftnet", 2, backbone="transformers", config=card.model.options["config"], width=8)
    model(torch.randn(1, 3, 40, 70)).sum().backward()
    with pytest.raises(MaskwrightError, match="because its stride is built in"):
        models.create("fcn", 2, backbone="transformers", config=card.model.options["config"])
