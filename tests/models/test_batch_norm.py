from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from tests.models.references import awake
from torch import Tensor, nn

from maskwright import models
from maskwright.models.layers.norm import BatchNorm2d, BatchNormAct2d, convert_batch_norm, moving_statistics

if TYPE_CHECKING:
    from pathlib import Path

SMALL = {"widths": (4, 6), "depths": (1, 1), "width": 6}
PARTS = (slice(0, 1), slice(1, 4))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_one_process_gives_torch_bit_for_bit(dtype: torch.dtype) -> None:
    ours, theirs = BatchNorm2d(5), nn.BatchNorm2d(5)
    for _ in range(3):
        x = (torch.randn(4, 5, 6, 7) * 3 + 2).to(dtype)
        one, other = x.clone().requires_grad_(), x.clone().requires_grad_()
        a, b = ours(one), theirs(other)
        a.square().sum().backward()
        b.square().sum().backward()
        assert torch.equal(a, b)
        assert torch.equal(one.grad, other.grad)
    assert all(
        torch.equal(*pair) for pair in zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True)
    )
    assert torch.equal(ours.eval()(x), theirs.eval()(x))


def test_one_value_a_channel_uses_the_running_statistics_and_leaves_them() -> None:
    layer = BatchNorm2d(2, eps=0.0)
    layer.running_mean.copy_(torch.tensor([1.0, -2.0]))
    layer.running_var.copy_(torch.tensor([4.0, 0.25]))
    x = torch.tensor([3.0, -3.0]).reshape(1, 2, 1, 1).requires_grad_()
    y = layer.train()(x)
    assert y.flatten().tolist() == [1.0, -2.0]
    assert layer.num_batches_tracked == 0
    assert layer.running_mean.tolist() == [1.0, -2.0]
    y.sum().backward()
    assert x.grad.flatten().tolist() == [0.5, 2.0]
    with pytest.raises(ValueError, match="more than 1 value"):
        nn.BatchNorm2d(2)(x)


def test_a_recomputed_layer_moves_its_statistics_once() -> None:
    layer = BatchNorm2d(3)
    layer.recomputed = True
    x = torch.randn(2, 3, 4, 4)
    with moving_statistics():
        first = layer(x)
    after = layer.running_mean.clone()
    assert after.any()
    assert torch.equal(layer(x), first)
    assert torch.equal(layer.running_mean, after)
    assert layer.num_batches_tracked == 1


def test_conversion_keeps_names_values_and_outputs() -> None:
    timm_layers = pytest.importorskip("timm.layers")
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Sequential(nn.BatchNorm2d(4, eps=1e-3), nn.ReLU()))
    network.append(timm_layers.BatchNormAct2d(4, act_layer=nn.SiLU, momentum=0.2))
    network.append(nn.BatchNorm2d(4, affine=False))
    names, x = list(network.state_dict()), torch.randn(2, 3, 5, 5)
    before = network.eval()(x)
    convert_batch_norm(network)
    kinds = [type(layer) for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
    assert kinds == [BatchNorm2d, BatchNormAct2d, nn.BatchNorm2d]
    assert (network[1][0].eps, network[2].momentum, network[2].training) == (1e-3, 0.2, False)
    assert list(network.state_dict()) == names
    assert torch.equal(network(x), before)


@pytest.fixture(scope="module")
def from_two(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Tensor]]:
    """What two processes on the CPU computed, by rank."""
    folder = tmp_path_factory.mktemp("two")
    mp.spawn(_worker, (folder,), nprocs=2)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


def test_two_processes_equal_one_with_the_whole_batch(from_two: list[dict[str, Tensor]]) -> None:
    alone = _trained(_batch())
    for found, part in zip(from_two, PARTS, strict=True):
        for name, value in alone.items():
            expected = value[part] if name == "logits" else value
            torch.testing.assert_close(
                found[name], expected, rtol=1e-9, atol=1e-11, msg=lambda text, name=name: name + text
            )


def test_large_means_lose_no_digits_in_two_processes(from_two: list[dict[str, Tensor]]) -> None:
    layer = nn.BatchNorm2d(2)
    for _ in range(40):
        expected = layer(_far_from_zero())
    torch.testing.assert_close(torch.cat([found["far"] for found in from_two]), expected, rtol=0.02, atol=0.02)


def test_one_value_in_each_of_two_processes(from_two: list[dict[str, Tensor]]) -> None:
    assert torch.cat([found["single"] for found in from_two]).flatten().tolist() == pytest.approx([-1.0, 1.0], abs=1e-4)


def test_no_value_in_any_process_leaves_the_statistics(from_two: list[dict[str, Tensor]]) -> None:
    for found in from_two:
        assert (found["empty.mean"].tolist(), found["empty.variance"].tolist()) == ([0.5, -0.5], [2.0, 3.0])


def _batch() -> Tensor:
    return torch.randn(4, 3, 24, 16, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 2 + 1


def _far_from_zero() -> Tensor:
    return torch.randn(4, 2, 6, 6, generator=torch.Generator().manual_seed(2)) + 10_000.0


def _trained(batch: Tensor) -> dict[str, Tensor]:
    """Two steps' worth of forward and backward passes; gradients summed over all processes."""
    torch.manual_seed(5)
    model = models.create("swiftnet", 2, 3, "compact", **SMALL).double().train()
    model.set_gradient_checkpointing(enable=True)
    awake(model)
    model(batch.flip(1)).square().sum().backward()
    logits = model(batch, upsample=False)
    logits.square().sum().backward()
    results = {"logits": logits.detach().double()}
    for name, weight in model.named_parameters():
        if dist.is_initialized():
            dist.all_reduce(weight.grad)
        results[name] = weight.grad
    return results | dict(model.named_buffers())


def _worker(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    layer, part = BatchNorm2d(2), _far_from_zero()[2 * rank : 2 * rank + 2]
    for _ in range(40):
        far = layer(part)
    single = BatchNorm2d(1)(torch.full((1, 1, 1, 1), float(rank)))
    empty = BatchNorm2d(2)
    empty.running_mean.copy_(torch.tensor([0.5, -0.5]))
    empty.running_var.copy_(torch.tensor([2.0, 3.0]))
    assert empty(torch.empty(0, 2, 7, 7)).shape == (0, 2, 7, 7)
    nothing = {"empty.mean": empty.running_mean, "empty.variance": empty.running_var}
    results = {"far": far.detach(), "single": single.detach(), **nothing, **_trained(_batch()[PARTS[rank]])}
    torch.save(results, folder / f"{rank}.pt")
    dist.destroy_process_group()
