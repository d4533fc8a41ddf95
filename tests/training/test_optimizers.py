from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from maskwright import models
from maskwright.core.errors import MaskwrightError
from maskwright.core.plan import OptimPlan, Plan
from maskwright.training import optimizers
from maskwright.training.muon import Muon

SMALL = {"widths": [8, 8, 16, 16], "width": 16}


def plan(name: str, **optim: Any) -> Plan:
    return Plan(optim=OptimPlan(name=name, **optim))


def segmenter() -> models.Segmenter:
    torch.manual_seed(0)
    return models.create("swiftnet", classes=3, **SMALL)


def ids(group: dict[str, Any]) -> set[int]:
    return {id(weight) for weight in group["params"]}


@pytest.mark.parametrize("name", sorted(optimizers.OPTIMIZERS))
def test_every_weight_is_in_one_group_and_vectors_do_not_decay(name: str) -> None:
    network = segmenter()
    optimizer = optimizers.create(network, plan(name, weight_decay=0.3, lr=0.007))
    listed = [id(weight) for group in optimizer.param_groups for weight in group["params"]]
    assert len(listed) == len(set(listed))
    assert set(listed) == {id(weight) for weight in network.parameters()}
    for group in optimizer.param_groups:
        assert group["lr"] == 0.007
        if group["weight_decay"]:
            assert group["weight_decay"] == 0.3
            assert all(weight.ndim > 1 for weight in group["params"])
    assert any(group["weight_decay"] for group in optimizer.param_groups)


def test_muon_leaves_the_edges_of_the_network_to_adamw() -> None:
    network = models.create("deeplabv3plus", classes=3, backbone="compact", widths=[8, 8, 16, 16])
    optimizer = optimizers.create(network, plan("muon", weight_decay=0.3))
    assert isinstance(optimizer, Muon)
    inner, outer = optimizer.param_groups
    assert (inner["matrix"], inner["scale"], inner["weight_decay"]) == (True, 1.0, 0.3)
    assert (outer["matrix"], outer["scale"], outer["weight_decay"]) == (False, optimizers.ADAM_SHARE, 0.0)
    first = next(weight for weight in network.backbone.parameters() if weight.ndim > 1)
    depthwise = [module.weight for module in network.modules() if isinstance(module, nn.Conv2d) and module.groups > 1]
    assert depthwise
    edges = {id(weight) for weight in (first, *network.head.parameters(), *depthwise)}
    assert edges <= ids(outer)
    vectors = {id(weight) for weight in network.parameters() if weight.ndim <= 1}
    assert ids(outer) == edges | vectors
    assert ids(inner) == {id(weight) for weight in network.parameters()} - edges - vectors


def test_frozen_weights_are_left_out() -> None:
    network = segmenter()
    network.backbone.requires_grad_(requires_grad=False)
    frozen = {id(weight) for weight in network.backbone.parameters()}
    for name in optimizers.OPTIMIZERS:
        groups = optimizers.create(network, plan(name)).param_groups
        assert not frozen & set.union(*map(ids, groups))


def test_the_plan_reaches_the_optimiser() -> None:
    network = segmenter()
    sgd = optimizers.create(network, plan("sgd", momentum=0.7)).param_groups[0]
    assert (sgd["momentum"], sgd["nesterov"]) == (0.7, True)
    assert not optimizers.create(network, plan("sgd", momentum=0.0)).param_groups[0]["nesterov"]
    assert optimizers.create(network, plan("rmsprop", momentum=0.6)).param_groups[0]["momentum"] == 0.6
    kinds = {name: type(optimizers.create(network, plan(name))).__name__ for name in optimizers.OPTIMIZERS}
    assert kinds == {"adam": "Adam", "adamw": "AdamW", "muon": "Muon", "rmsprop": "RMSprop", "sgd": "SGD"}


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(MaskwrightError, match=r"^unknown optimiser 'adamm': did you mean 'adam'"):
        optimizers.create(segmenter(), plan("adamm"))


@pytest.mark.parametrize(
    ("name", "lr"), [("adam", 0.01), ("adamw", 0.01), ("muon", 0.05), ("rmsprop", 2e-3), ("sgd", 0.1)]
)
def test_every_optimiser_lowers_the_loss(name: str, lr: float) -> None:
    network = segmenter()
    optimizer = optimizers.create(network, plan(name, lr=lr))
    random = torch.Generator().manual_seed(1)
    labels = torch.randint(0, 3, (4, 2, 2), generator=random).repeat_interleave(16, 1).repeat_interleave(16, 2)
    images = labels[:, None] + 0.1 * torch.randn(4, 3, 32, 32, generator=random)
    losses = []
    for _ in range(12):
        loss = nn.functional.cross_entropy(network(images), labels)
        losses.append(loss.item())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    assert losses[-1] < 0.9 * losses[0]


def test_tokens_and_position_codes_are_no_matrices() -> None:
    pytest.importorskip("timm")
    network = models.create("segformer", 2, 3, "timm:test_vit", width=8)
    edges = optimizers.edge_weights(network)
    inside = network.backbone.trunk.network.model
    assert {id(inside.cls_token), id(inside.pos_embed), id(inside.patch_embed.proj.weight)} <= edges
    assert id(inside.blocks[0].attn.qkv.weight) not in edges


@pytest.mark.parametrize(
    ("shape", "muons"),
    [((512, 512, 3, 3), True), ((768, 3072), True), ((1024, 512, 7, 7), False), ((4096, 4096, 1, 1), False)],
)
def test_muon_leaves_matrices_that_would_cost_more_than_the_network_to_adamw(
    shape: tuple[int, ...], *, muons: bool
) -> None:
    weight = torch.empty(shape, device="meta")
    short, long = sorted((shape[0], weight[0].numel()))
    assert optimizers.muon_cost(weight) == 2 * short**2 * long + 14 * short**3
    assert (optimizers.muon_cost(weight) <= optimizers.MAX_MUON_COST) == muons


def test_a_dear_matrix_moves_by_adamw_and_gently() -> None:
    network = models.create("fcn8s", 3, backbone="vgg16", width_factor=1 / 64)
    with torch.device("meta"):
        six = torch.nn.Conv2d(512, 1024, 7)
    network.backbone.stages[5][0][0] = six
    groups = optimizers.create(network, plan("muon", weight_decay=0.1)).param_groups
    (group,) = [group for group in groups if id(six.weight) in ids(group)]
    assert (group["matrix"], group["scale"], group["weight_decay"]) == (False, optimizers.DEAR_SHARE, 0.1)


def test_a_backbone_without_weights_leaves_the_first_layer_to_the_decoder() -> None:
    network = models.create("renet", classes=3, units=[4, 4])
    inner, outer = optimizers.create(network, plan("muon")).param_groups
    first, second = network.decoder.sweeps[0].vertical.weight_ih_l0, network.decoder.sweeps[1].vertical.weight_ih_l0
    assert id(first) in ids(outer)
    assert id(second) in ids(inner)
