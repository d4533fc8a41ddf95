"""What every architecture of the catalog promises, at the sizes where networks fail: odd, thin, one class, one image.

The networks are as small as their options allow, as the shapes are what matters here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from tests.models.references import awake
from tests.models.smallest import smallest

from maskwright import models
from maskwright.core.classes import Classes
from maskwright.core.plan import DataPlan, ModelPlan
from maskwright.models import bundle
from maskwright.models.bundle import Card, CardClasses

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from maskwright.models.backbones.base import Backbone

NAMES = sorted(models.MODELS)
BACKBONES = sorted(set(models.BACKBONES) - {"patches", "filters"})  # which keep nothing: they have no weights


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("channels", "classes"), [(1, 150), (7, 1)])
def test_an_odd_size_with_few_or_many_channels_and_classes(name: str, channels: int, classes: int) -> None:
    model = models.create(name, classes, channels, **smallest(name)).eval()
    with torch.no_grad():
        logits = model(torch.randn(1, channels, 333, 257))
    assert (model.classes, model.in_channels) == (classes, channels)
    assert logits.shape == (1, classes, 333, 257)
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_of_one_trains_and_leaves_finite_statistics(name: str) -> None:
    model = models.create(name, 2, 3, **smallest(name)).train()
    for size in [(33, 57), (8, 8)]:
        outputs = model(torch.randn(1, 3, *size), with_aux=True)
        sum(output.square().mean() for output in outputs).backward()
    assert all(torch.isfinite(value).all() for value in model.state_dict().values())
    assert all(weight.grad is None or torch.isfinite(weight.grad).all() for weight in model.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_the_gradient_reaches_every_parameter(name: str) -> None:
    model = awake(models.create(name, 3, 3, **smallest(name))).train()
    outputs = model(torch.randn(2, 3, 96, 64), with_aux=True)
    sum(output.square().sum() for output in outputs).backward()
    asleep = [key for key, weight in model.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert asleep == []


@pytest.mark.parametrize("name", NAMES)
def test_a_bundle_gives_the_same_logits(tmp_path: Path, name: str) -> None:
    settings: dict[str, Any] = smallest(name)
    plan = ModelPlan(
        name=name,
        backbone=settings.pop("backbone"),
        options={key: list(value) if isinstance(value, tuple) else value for key, value in settings.items()},
    )
    model = models.create_from_plan(plan, 2, 5)
    model.train()(torch.randn(2, 5, 40, 32))
    card = Card(
        model=plan,
        classes=CardClasses.of(Classes.named(["a", "b"])),
        data=DataPlan(channels=5, mean=[1.0] * 5, std=[2.0] * 5),
    )
    bundle.save(tmp_path / "m.safetensors", model, card)
    image = torch.randn(1, 5, 45, 33)
    assert torch.equal(bundle.load(tmp_path / "m.safetensors")[0](image), model.eval()(image))


@pytest.mark.parametrize("name", BACKBONES)
def test_checkpointing_keeps_fewer_activations_of_every_backbone(name: str) -> None:
    with torch.device("meta"):  # which storages are kept is known without computing anything
        backbone = models.BACKBONES[name].builder(3, None).train()
        side = backbone.fitted(64)
        images = torch.empty(2, 3, side, side)
        usual = _kept_bytes(backbone, images)
        backbone.set_gradient_checkpointing(enable=True)
        assert _kept_bytes(backbone, images) < 0.9 * usual


def _kept_bytes(backbone: Backbone, images: Tensor) -> int:
    """Count what the backward pass will read, without the weights, which are there anyway."""
    weights = {weight.untyped_storage()._cdata for weight in backbone.parameters()}
    kept = {}

    def count(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage._cdata] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        _maps = backbone(images)
    return sum(storage.nbytes() for key, storage in kept.items() if key not in weights)
