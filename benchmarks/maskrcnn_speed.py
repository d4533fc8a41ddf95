"""A training step of Mask R-CNN: ours against torchvision's own, over the same backbone and pyramid, in one run.

Both see the same images and objects (rectangles on noise), propose boxes from the same anchors, and take a step of
AdamW. torchvision's draws 512 boxes an image for its heads unless `--boxes 128` gives it our number. `--bfloat16` runs
ours as the planner does on a processor with bfloat16 units: autocast, channels last. The steps alternate, so that a
noisy machine is noisy to both; the time of the processor is given too, which other programs disturb less.
Run: python benchmarks/maskrcnn_speed.py [--boxes 128] [--bfloat16] [--json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from typing import TYPE_CHECKING, Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torchvision.models.detection import MaskRCNN

from maskwright import models
from maskwright.core.channels import OBJECT_GROUP, object_channels
from maskwright.core.classes import Classes
from maskwright.core.plan import Plan
from maskwright.tasks import task_of
from maskwright.training.step import TrainingStep

if TYPE_CHECKING:
    from collections.abc import Callable

SIZE, BATCH, OBJECTS, WIDTH = 448, 2, 8, 64
CLASSES = Classes.named(("background", "one", "two"))


class Features(nn.Module):
    """Our backbone and pyramid in torchvision's detector."""

    out_channels = WIDTH

    def __init__(self, network: models.Segmenter) -> None:
        super().__init__()
        self.backbone, self.decoder = network.backbone, network.decoder

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return the levels of the pyramid by name."""
        levels = self.decoder(self.backbone(images))
        return {**{str(place): level for place, level in enumerate(levels[:-1])}, "pool": levels[-1]}


def network() -> Any:
    """Return our network."""
    return models.create("maskrcnn", object_channels(len(CLASSES)), width=WIDTH)


def batch() -> tuple[Tensor, Tensor]:
    """Return images (N, 3, H, W) and their targets (N, 2, H, W): ids and classes."""
    random = torch.Generator().manual_seed(0)
    images, targets = torch.randn(BATCH, 3, SIZE, SIZE, generator=random), torch.zeros(BATCH, 2, SIZE, SIZE)
    for image, target in zip(images, targets, strict=True):
        for number in range(1, OBJECTS + 1):
            height, width = torch.randint(24, SIZE // 3, (2,), generator=random).tolist()
            top, left = (int(torch.randint(0, SIZE - side, (), generator=random)) for side in (height, width))
            window = slice(top, top + height), slice(left, left + width)
            target[:, *window] = torch.tensor([number, 1 + number % 2.0])[:, None, None]
            image[:, *window] += 2.0
    return images, targets


def our_step(images: Tensor, targets: Tensor, *, bfloat16: bool) -> Callable[[], None]:
    """Return the step of our loop."""
    plan = Plan(task="instance")
    plan.model.name, plan.optim.name, plan.sampling.batch = "maskrcnn", "adamw", BATCH
    plan.train.channels_last, plan.optim.accumulate = bfloat16, 1
    fabric = Fabric(accelerator="cpu", devices=1, precision="bf16-mixed" if bfloat16 else "32-true")
    step = TrainingStep(network(), plan, task_of(plan).loss(plan, CLASSES), fabric)
    placed = images.contiguous(memory_format=step.layout)
    return lambda: step((placed, {OBJECT_GROUP: targets}), 0, 0.5, plan.optim.lr) and None


def their_step(images: Tensor, targets: Tensor, boxes: int) -> Callable[[], None]:
    """Return the step of a plain loop around torchvision's network."""
    ours = network()
    generator = ours.head.rpn.anchor_generator
    theirs = MaskRCNN(
        Features(ours),
        min_size=SIZE,
        max_size=SIZE,
        image_mean=[0.0] * 3,
        image_std=[1.0] * 3,
        rpn_anchor_generator=generator,
        box_batch_size_per_image=boxes,
        box_head=ours.head.regions.box_head,
        box_predictor=ours.head.regions.box_predictor,
        mask_head=ours.head.regions.mask_head,
        mask_predictor=ours.head.regions.mask_predictor,
        rpn_head=ours.head.rpn.head,
    ).train()
    optimizer = torch.optim.AdamW(theirs.parameters(), lr=1e-3, fused=True)
    truth = [objects(target) for target in targets]

    def step() -> None:
        loss = sum(theirs(list(images), truth).values())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def objects(target: Tensor) -> dict[str, Tensor]:
    """Return boxes, labels and masks of a target as torchvision takes them."""
    numbers = target[0].unique()[1:]
    masks = target[0] == numbers[:, None, None]
    places = [mask.nonzero() for mask in masks]
    corners = [torch.cat([place.amin(0).flip(0), place.amax(0).flip(0) + 1]) for place in places]
    labels = [int(target[1][mask].max()) for mask in masks]
    return {"boxes": torch.stack(corners).float(), "labels": torch.tensor(labels), "masks": masks.byte()}


def main() -> None:
    """Time both and print the ratio of the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--boxes", type=int, default=512, help="boxes an image that torchvision draws")
    parser.add_argument("--bfloat16", action="store_true", help="ours under autocast, channels last")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    images, targets = batch()
    steps = {
        "torchvision": their_step(images, targets, arguments.boxes),
        "ours": our_step(images, targets, bfloat16=arguments.bfloat16),
    }
    clocks = {"seconds": time.perf_counter, "processor": time.process_time}
    spent = {(name, kind): list[float]() for name in steps for kind in clocks}
    for repeat in range(arguments.repeats + 2):
        for name, step in steps.items():
            before = {kind: clock() for kind, clock in clocks.items()}
            step()
            for kind, clock in clocks.items():
                if repeat >= 2:
                    spent[name, kind].append(clock() - before[kind])
    medians = {f"{name}_{kind}": statistics.median(values) for (name, kind), values in spent.items()}
    ratios = {f"ratio_{kind}": medians[f"torchvision_{kind}"] / medians[f"ours_{kind}"] for kind in clocks}
    result = {**medians, **ratios, "threads": arguments.threads}
    words = ", ".join(f"{key.replace('_', ' ')} {value:.2f}" for key, value in result.items())
    print(json.dumps(result) if arguments.json else words)


if __name__ == "__main__":
    main()
