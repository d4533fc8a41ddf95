"""A training step of one network (U-Net over ResNet-18): ours against the plain float32 loop, in one run.

Ours is what the planner chooses on a processor with bfloat16 units: autocast, channels_last, loss at the decoder's own
stride, fused AdamW. The plain loop is what a tutorial shows: float32, contiguous, loss at full resolution, the network
as segmentation_models.pytorch has it; our tests load its weights into ours and get the same logits. --own puts our
network's code into the plain loop too: what is left is the loop's part. The steps alternate, so that a noisy machine is
noisy to both. Run: python benchmarks/step_speed.py [--own] [--json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from typing import TYPE_CHECKING

import segmentation_models_pytorch as smp
import torch
from torch import nn

from maskwright import losses, models
from maskwright.core.channels import class_channels
from maskwright.core.plan import LossPlan
from maskwright.training.label_stride import strided

if TYPE_CHECKING:
    from collections.abc import Callable

SIZE, BATCH, CLASSES = (256, 256), 8, 11


def plain_step(*, own: bool) -> Callable[[], None]:
    """Return the step of a plain loop."""
    if own:
        network: nn.Module = models.create("unet", CLASSES, backbone="timm:resnet18", layout="smp").train()
    else:
        network = smp.Unet("resnet18", encoder_weights=None, classes=CLASSES).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    loss_of = nn.CrossEntropyLoss(ignore_index=255)
    images, labels = torch.randn(BATCH, 3, *SIZE), torch.randint(0, CLASSES, (BATCH, *SIZE))

    def step() -> None:
        optimizer.zero_grad()
        loss_of(network(images), labels).backward()
        optimizer.step()

    return step


def our_step() -> Callable[[], None]:
    """Return the step of our loop."""
    network = models.create("unet", CLASSES, backbone="timm:resnet18", layout="smp").train()
    network.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, fused=True)
    loss_of = losses.weighted_sum(LossPlan(terms={"cross_entropy": 1.0}), class_channels(CLASSES)[0])
    images = torch.randn(BATCH, 3, *SIZE).to(memory_format=torch.channels_last)
    labels = torch.randint(0, CLASSES, (BATCH, *SIZE))

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(images, upsample=False)
        loss_of(logits.float(), strided(labels, logits)).backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def main() -> None:
    """Time both and print the ratio of the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--own", action="store_true", help="our network in the plain loop too")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    seconds: dict[str, list[float]] = {"plain": [], "ours": []}
    steps = {"plain": plain_step(own=arguments.own), "ours": our_step()}
    for repeat in range(arguments.repeats + 2):
        for name, step in steps.items():
            started = time.perf_counter()
            step()
            if repeat >= 2:
                seconds[name].append(time.perf_counter() - started)
    plain, ours = (statistics.median(seconds[name]) for name in ("plain", "ours"))
    result = {"plain_seconds": plain, "ours_seconds": ours, "ratio": plain / ours, "threads": arguments.threads}
    print(json.dumps(result) if arguments.json else f"plain {plain:.3f} s, ours {ours:.3f} s: {plain / ours:.2f} times")


if __name__ == "__main__":
    main()
