"""The cost of a network: weights and multiply-adds, counted, and milliseconds, measured. Knows no architecture.

Counting builds the network on torch's meta device, where tensors have shapes but no values: no weights are drawn, no
arithmetic is done, and the count is exact for every convolution and matrix product, including recurrent steps and
attention. Additions, norms and activations are not counted, as is usual. The count covers the operations that really
run: a convolution of an upsampled map runs on the small map (`layers.blocks.enlarged_convolution`); counting U-Net's
textbook form gives a fifth more.

A recurrent layer is counted by formula and not run, because counting its thousands of small steps one by one takes
seconds: with I inputs, H units and G gates each step of each direction costs G * H * (I + H).
"""

from __future__ import annotations

import contextlib
import statistics
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from maskwright.models.build import create, create_from_plan
from maskwright.models.without_values import without_values

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from maskwright.core.channels import Channels
    from maskwright.core.plan import ModelPlan
    from maskwright.models.segmenter import Segmenter

SIDE = 512
CLASSES = 21
REPEATS = 5


@dataclass(frozen=True)
class Cost:
    """The cost of one network for one image.

    Attributes:
        parameters: weights used in prediction, without auxiliary heads.
        multiply_adds: of one image.
    """

    parameters: int
    multiply_adds: int


def planned_network(plan: ModelPlan, channels: Sequence[Channels], in_channels: int) -> Segmenter:
    """Return the network that a plan describes, on the meta device: as it is trained, without values.

    Args:
        plan: of the network.
        channels: that it emits.
        in_channels: of the image.
    """
    with without_values():
        return create_from_plan(plan.plain(), channels, in_channels)


def planned_cost(plan: ModelPlan, channels: Sequence[Channels], in_channels: int) -> Cost:
    """Count the cost of the network that a plan describes; see `planned_network`."""
    return count(planned_network(plan, channels, in_channels), in_channels)


def count(network: nn.Module, channels: int = 3, side: int = SIDE) -> Cost:
    """Count the cost of one image of `channels` x `side` x `side`.

    Args:
        network: takes a tensor (1, channels, side, side); on the meta device, or slower on any other.
        channels: of the image.
        side: height and width of the image.
    """
    idle = {id(weight) for head in getattr(network, "aux", ()) for weight in head.parameters()}
    weights = list(network.parameters())
    image = torch.empty(1, channels, side, side, device=weights[0].device)
    training = network.training
    with torch.no_grad(), _recurrent_by_formula(network) as recurrent, FlopCounterMode(display=False) as counter:
        network.eval()
        getattr(network, "typical", network)(image)
    network.train(training)
    # Torch counts a multiplication and its addition as two operations.
    multiply_adds = counter.get_total_flops() // 2 + sum(recurrent)
    return Cost(sum(weight.numel() for weight in weights if id(weight) not in idle), multiply_adds)


@contextlib.contextmanager
def _recurrent_by_formula(network: nn.Module) -> Iterator[list[int]]:
    """Make the recurrent layers of `network` return zeros, and yield the list that collects their multiply-adds."""
    done: list[int] = []
    layers = [layer for layer in network.modules() if isinstance(layer, nn.RNNBase)]
    for layer in layers:
        layer.forward = partial(_counted, layer, done)
    try:
        yield done
    finally:
        for layer in layers:
            del layer.forward


def _counted(layer: nn.RNNBase, done: list[int], x: Tensor) -> tuple[Tensor, None]:
    """Replace the forward pass of one recurrent layer over `x` (steps, lines, inputs) by a count."""
    matrices = sum(weight.numel() for name, weight in layer.named_parameters() if name.startswith("weight"))
    done.append(x.shape[0] * x.shape[1] * matrices)
    return x.new_zeros(*x.shape[:2], layer.hidden_size * (1 + layer.bidirectional)), None


def cost_of(name: str, backbone: str | None = None, classes: int = CLASSES, side: int = SIDE) -> Cost:
    """Count the cost of an architecture with its default options.

    Raises:
        MaskwrightError: an unknown name.
    """
    with without_values():
        return count(create(name, classes, backbone=backbone), side=side)


def milliseconds_of(name: str, backbone: str | None = None, classes: int = CLASSES, side: int = SIDE) -> float:
    """Measure the prediction of one image on the CPU, with torch's current number of threads, in float32.

    Raises:
        MaskwrightError: an unknown name.
    """
    with torch.random.fork_rng(devices=[]):
        return milliseconds(create(name, classes, backbone=backbone), side)


def milliseconds(network: Segmenter, side: int = SIDE, repeats: int = REPEATS) -> float:
    """Return the median time of `repeats` predictions of one image of `side` x `side`, in ms, after one to warm up."""
    network = network.eval().to(memory_format=torch.channels_last)
    image = torch.zeros(1, network.in_channels, side, side).contiguous(memory_format=torch.channels_last)
    seconds = []
    with torch.inference_mode():
        for _ in range(repeats + 1):
            start = time.perf_counter()
            network(image)
            seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[1:]) * 1000


def threads() -> int:
    """Return the number of threads that `milliseconds` runs on."""
    return torch.get_num_threads()
