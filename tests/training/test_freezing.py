from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from maskwright.core.errors import MaskwrightError
from maskwright.core.plan_file import overridden
from maskwright.models.freezing import until_step

if TYPE_CHECKING:
    from tests.training.conftest import Bench
    from torch import Tensor

    from maskwright.training.loop import Trainer

NAMES = ["adam", "adamw", "muon", "rmsprop", "sgd"]


def backbone_of(trainer: Trainer) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in trainer.inputs.segmenter.backbone.state_dict().items()}


def equal(one: dict[str, Tensor], two: dict[str, Tensor]) -> dict[str, bool]:
    assert one.keys() == two.keys()
    return {name: torch.equal(one[name], two[name]) for name in one}


@pytest.mark.parametrize("name", NAMES)
def test_a_frozen_backbone_stands_still_to_the_last_bit(bench: Bench, name: str) -> None:
    trainer = bench.trainer(bench.plan({"name": name, "freeze": "backbone", "weight_decay": 0.5}, steps=3), norm=True)
    before, head = backbone_of(trainer), trainer.inputs.segmenter.head.state_dict()["1.weight"].clone()
    wanted: list[bool] = []
    trainer.inputs.segmenter.backbone.register_forward_hook(lambda _m, _x, out: wanted.append(out.requires_grad))
    trainer.fit()
    assert all(equal(before, backbone_of(trainer)).values()), "weights and statistics of norms alike"
    assert not torch.equal(trainer.inputs.segmenter.head.state_dict()["1.weight"], head)
    held = {id(weight) for weight in trainer.step.optimizer.optimizer.state}
    assert not held & {id(weight) for weight in trainer.inputs.segmenter.backbone.parameters()}
    assert wanted == [False] * 3, "no gradient may reach it: that is the time saved"


@pytest.mark.parametrize("name", NAMES)
def test_it_thaws_at_its_step(bench: Bench, name: str) -> None:
    seen: dict[int, dict[str, Tensor]] = {}

    def look(_model: object, step: int) -> None:
        seen[step] = backbone_of(trainer)

    plan = bench.plan({"name": name, "freeze": "until-step=2", "weight_decay": 0.5}, steps=4, validations=4)
    trainer = bench.trainer(plan, look, norm=True)
    before = backbone_of(trainer)
    trainer.fit()
    assert all(equal(before, seen[2]).values())
    still = {name for name, same in equal(seen[2], seen[3]).items() if same}
    assert still <= {"0.bias"}, "the norm after it takes a bias's gradient away; all else moves"
    state = trainer.step.optimizer.optimizer.state
    assert all(weight in state for weight in trainer.inputs.segmenter.parameters())


@pytest.mark.parametrize("name", ["sgd", "adamw", "muon"])
def test_the_backbone_learns_at_a_rate_of_its_own(bench: Bench, name: str) -> None:
    """The first step is proportional to the rate, for each of these; the rest of the network must not notice."""

    def moved(**optim: Any) -> dict[str, Tensor]:
        settings = {"name": name, "weight_decay": 0.0, "warmup": 0, "lr": 0.01, **optim}
        trainer = bench.trainer(bench.plan(settings, steps=1))
        before = {key: value.clone() for key, value in trainer.inputs.segmenter.named_parameters()}
        trainer.fit()
        for path in (bench.run / "checkpoint").iterdir():
            path.unlink()
        return {key: value.detach() - before[key] for key, value in trainer.inputs.segmenter.named_parameters()}

    usual, slow = moved(), moved(backbone_lr=0.1)
    for key, value in usual.items():
        factor = 0.1 if key.startswith("backbone.") else 1.0
        torch.testing.assert_close(slow[key], factor * value, rtol=1e-3, atol=1e-6)


def test_the_rate_that_is_written_down_is_not_the_backbone_s(bench: Bench) -> None:
    trainer = bench.trainer(bench.plan({"name": "muon", "backbone_lr": 0.5, "warmup": 0}, steps=1))
    trainer.fit()
    assert trainer.history[0]["lr"] == 0.02
    assert {group["lr"] for group in trainer.step.optimizer.param_groups} == {0.02, 0.01}


def test_words_for_freezing(bench: Bench) -> None:
    plan = bench.plan()
    for text, until in (("none", 0), ("until-step=7", 7), ("until-step 7", 7)):
        assert until_step(overridden(plan, [f"optim.freeze={text}"]).optim.freeze) == until
    assert until_step("backbone") > 1e9
    with pytest.raises(MaskwrightError, match=r"^optim\.freeze is 'head', and must be none, backbone or") as refused:
        overridden(plan, ["optim.freeze=head"])
    assert refused.value.key == "optim.freeze"


@pytest.mark.parametrize("rival", ["lora.rank=8", "optim.backbone_lr=0.1"])
def test_what_would_train_a_frozen_backbone_is_refused(bench: Bench, rival: str) -> None:
    key = rival.partition("=")[0]
    with pytest.raises(MaskwrightError, match=f"optim.freeze is backbone, and {key} would train it: leave one"):
        overridden(bench.plan(), ["optim.freeze=backbone", rival])
