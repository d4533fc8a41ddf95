from __future__ import annotations

import errno
from typing import TYPE_CHECKING, NoReturn

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from maskwright.core.errors import MaskwrightError
from maskwright.core.plan import OptimPlan, Plan
from maskwright.training import checkpoint
from maskwright.training.checkpoint import Checkpoint
from maskwright.training.optimizers import OPTIMIZERS

if TYPE_CHECKING:
    from pathlib import Path


def point(step: int) -> Checkpoint:
    random = torch.Generator().manual_seed(step)
    return Checkpoint({"model.a": torch.randn(40, 5, generator=random)}, {"step": step, "loss": 0.1 + 0.2})


def filled(run: Path, *steps: int) -> list[Path]:
    return [checkpoint.save(run, point(step), step) for step in steps]


def loaded_step(run: Path) -> int:
    found = checkpoint.load(run)
    assert found is not None
    assert torch.equal(found.tensors["model.a"], point(found.state["step"]).tensors["model.a"])
    return int(found.state["step"])


def test_nothing_yet(tmp_path: Path) -> None:
    assert checkpoint.load(tmp_path) is None


def test_what_is_saved_comes_back_bit_for_bit(tmp_path: Path) -> None:
    tensors = {
        "model.w": torch.randn(3, 2, 3, 3).to(memory_format=torch.channels_last),
        "model.count": torch.tensor(7),
        "optimizer.0.half": torch.randn(4).bfloat16(),
        "best.w": torch.tensor([float("inf"), -0.0]),
    }
    checkpoint.save(tmp_path, Checkpoint(dict(tensors), {"loss": 0.1 + 0.2, "list": [1, None]}), 3)
    found = checkpoint.load(tmp_path)
    assert found is not None
    assert found.state == {"loss": 0.1 + 0.2, "list": [1, None]}
    assert found.tensors.keys() == tensors.keys()
    for name, value in tensors.items():
        assert found.tensors[name].dtype == value.dtype
        assert torch.equal(found.tensors[name], value)
    assert list(found.part("model")) == ["count", "w"]


def test_parts_are_told_apart_by_their_whole_prefix() -> None:
    both = Checkpoint()
    both.add("model", {"a": torch.zeros(1)})
    both.add("modelled", {"b": torch.ones(1)})
    assert list(both.part("model")) == ["a"]
    assert list(both.part("modelled")) == ["b"]


def test_the_newest_two_are_kept(tmp_path: Path) -> None:
    paths = filled(tmp_path, 9, 10, 11)
    assert sorted((tmp_path / "checkpoint").iterdir()) == paths[1:]
    assert loaded_step(tmp_path) == 11


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_a_cut_newest_one_gives_way_to_the_one_before(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    run = tmp_path_factory.mktemp("run")
    _, newest = filled(run, 1, 2)
    content = newest.read_bytes()
    newest.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    assert loaded_step(run) == 1


@pytest.mark.parametrize("content", [b"", b"rubbish", b"\x00" * 4096, b"\xff" * 4096, b"\x02" + b"\0" * 7 + b"{}"])
def test_a_garbled_newest_one_gives_way_too(tmp_path: Path, content: bytes) -> None:
    _, newest = filled(tmp_path, 1, 2)
    newest.write_bytes(content)
    assert loaded_step(tmp_path) == 1


def test_an_unreadable_later_one_does_not_outlive_the_next_good_one(tmp_path: Path) -> None:
    """Otherwise it would take one of the two places, and a second damage would find nothing to fall back on."""
    _, newest = filled(tmp_path, 10, 30)
    newest.write_bytes(b"rubbish")
    filled(tmp_path, 20)
    assert [path.name for path in sorted((tmp_path / "checkpoint").iterdir())] == [
        "step-00000010.safetensors",
        "step-00000020.safetensors",
    ]
    assert loaded_step(tmp_path) == 20


def test_when_all_are_damaged_it_says_so(tmp_path: Path) -> None:
    for path in filled(tmp_path, 1, 2):
        path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(MaskwrightError, match="holds 2 checkpoints, and none can be read: start a new training with"):
        checkpoint.load(tmp_path)


def full_disk(path: Path, content: bytes) -> NoReturn:
    """Write half of it, as a real disk does before it is full."""
    with path.open("wb") as file:
        file.write(content[: len(content) // 2])
    raise OSError(errno.ENOSPC, "No space left on device", str(path))


def test_a_checkpoint_of_another_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(tmp_path, 5)
    monkeypatch.setattr(checkpoint, "VERSION", "99")
    words = r"step-00000005\.safetensors is a checkpoint of format 4, and this version reads format 99: continue with"
    with pytest.raises(MaskwrightError, match=words):
        checkpoint.load(tmp_path)


def test_a_full_disk_leaves_the_last_good_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (good,) = filled(tmp_path, 5)
    before = good.read_bytes()
    monkeypatch.setattr("pathlib.Path.write_bytes", full_disk)
    with pytest.raises(MaskwrightError, match=r"step-00000006\.safetensors could not be written: the disk is full"):
        filled(tmp_path, 6)
    assert list((tmp_path / "checkpoint").iterdir()) == [good]
    assert good.read_bytes() == before
    assert loaded_step(tmp_path) == 5


def test_a_read_only_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> NoReturn:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("maskwright.core.files._new_beside", refuse)
    with pytest.raises(MaskwrightError, match="the folder is read-only"):
        filled(tmp_path, 1)


def test_what_a_kill_left_is_neither_read_nor_kept(tmp_path: Path) -> None:
    filled(tmp_path, 1)
    stray = tmp_path / "checkpoint" / ".step-00000002.safetensors.abc123.safetensors"
    stray.write_bytes(b"half")
    assert loaded_step(tmp_path) == 1
    checkpoint.clear(tmp_path)
    assert not stray.exists()
    assert loaded_step(tmp_path) == 1
    checkpoint.clear(tmp_path / "nowhere")


def test_another_plan_is_refused_and_other_reasons_are_not(tmp_path: Path) -> None:
    plan = Plan(optim=OptimPlan(lr=0.1 + 0.2), reasons={"optim.lr": "why"})
    checkpoint.save(tmp_path, Checkpoint(state={"plan": checkpoint.essence(plan)}), 1)
    found = checkpoint.load(tmp_path)
    assert found is not None
    checkpoint.check_plan(tmp_path, found, plan.model_copy(update={"reasons": {}}))
    other = plan.model_copy(update={"optim": OptimPlan(lr=0.5)})
    with pytest.raises(MaskwrightError, match=r"plan\.yaml was changed after the training began \(optim: .*0\.5"):
        checkpoint.check_plan(tmp_path, found, other)


def weights_of(seed: int) -> list[nn.Parameter]:
    random = torch.Generator().manual_seed(seed)
    filters = torch.randn(8, 4, 3, 3, generator=random).to(memory_format=torch.channels_last)
    return [nn.Parameter(filters), nn.Parameter(torch.randn(8, generator=random))]


def build(name: str, weights: list[nn.Parameter]) -> torch.optim.Optimizer:
    groups = [{"params": weights[:1], "weight_decay": 0.1}, {"params": weights[1:], "weight_decay": 0.0}]
    if name == "muon":
        groups[0]["matrix"] = True
    return OPTIMIZERS[name](groups, Plan(optim=OptimPlan(name=name, lr=0.1)))


def move(weights: list[nn.Parameter], optimizer: torch.optim.Optimizer, seeds: range) -> None:
    for seed in seeds:
        for weight, like in zip(weights, weights_of(seed), strict=True):
            weight.grad = like.detach().clone()
        optimizer.step()


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_an_optimiser_goes_on_bit_for_bit(tmp_path: Path, name: str) -> None:
    """Also where its fused kernel walks through channels-last weights and their state side by side."""
    weights = weights_of(0)
    optimizer = build(name, weights)
    move(weights, optimizer, range(1, 4))
    saved = Checkpoint()
    saved.add("optimizer", checkpoint.optimizer_tensors(optimizer))
    saved.add("model", dict(zip("ab", weights, strict=True)))
    checkpoint.save(tmp_path, saved, 3)
    found = checkpoint.load(tmp_path)
    assert found is not None
    again = weights_of(9)
    for weight, value in zip(again, found.part("model").values(), strict=True):
        weight.data.copy_(value)
    resumed = build(name, again)
    checkpoint.restore_optimizer(resumed, found.part("optimizer"))
    for one, own in ((weights, optimizer), (again, resumed)):
        move(one, own, range(4, 8))
    for weight, other in zip(weights, again, strict=True):
        assert torch.equal(weight, other)


def test_a_model_takes_exactly_its_own_weights() -> None:
    model, other = nn.Linear(2, 2), nn.Linear(2, 2)
    checkpoint.restore_model(model, other.state_dict())
    assert torch.equal(model.weight, other.weight)
    with pytest.raises(RuntimeError, match="Missing key"):
        checkpoint.restore_model(model, {"weight": torch.zeros(2, 2)})
