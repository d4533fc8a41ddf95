"""The score of a competent hand-written loop around segmentation_models.pytorch, on the images that a run of ours used.

U-Net over ResNet-18 from scratch, or with `--pretrained` over EfficientNet-Lite0 with the ImageNet weights that our
default starts from (the encoder at a third of the rate); cross-entropy plus Dice, AdamW with cosine, albumentations,
bfloat16 and channels_last; images decoded once; the last weights are judged. It trains on the training images of RUN,
not on those that our run chose its model by, and is judged on RUN's held-out images, whole and unmirrored, by our own
confusion matrix.
Run: python benchmarks/peer_score.py RUN DATA --seconds 600 [--json], then maskwright evaluate RUN DATA for ours.
"""

from __future__ import annotations

import argparse
import json
import math
import queue
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import albumentations
import numpy as np
import segmentation_models_pytorch as smp
import torch
from torch.nn import functional as F

from maskwright.core.classes import IGNORE
from maskwright.data.formats import read_dataset
from maskwright.data.labels import read_pair
from maskwright.metrics.confusion import confusion_matrix, iou, mean_defined, per_class
from maskwright.models.backbones.hub import pretrained_file
from maskwright.models.backbones.timm_weights import in_timm_names, load_by_name
from maskwright.models.weights import read_tensors
from maskwright.ops.draw import to_rgb8
from maskwright.workflows.runs.split_lookup import like_training, reading

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Pairs = list[tuple[NDArray[np.uint8], NDArray[np.uint8]]]

MEAN, STD = np.float32([127, 127, 127]), np.float32([128, 128, 128])
LITE = "tf_efficientnet_lite0"
RATE, BATCH = 1e-3, 8


def pairs(run: Path, data: Path) -> tuple[dict[str, Pairs], tuple[str, ...]]:
    """Decode the training and the held-out images of a run, as RGB."""
    dataset, _ = like_training(run, read_dataset(data, reading(run)))
    found: dict[str, Pairs] = {"train": [], "val": [], "test": []}
    for record in dataset.records:
        image, truth = read_pair(dataset, record)
        found[record.split or "train"].append((to_rgb8(image), truth))
    return found, dataset.classes.names


def crops(train: Pairs, size: tuple[int, int], seed: int) -> Any:
    """Yield batches for ever, made by a thread."""
    change = albumentations.Compose(
        [
            albumentations.RandomScale((-0.5, 0.25), p=1.0),
            albumentations.PadIfNeeded(*size, fill=0, fill_mask=IGNORE),
            albumentations.RandomCrop(*size),
            albumentations.HorizontalFlip(),
            albumentations.ColorJitter(0.2, 0.2, 0.2, 0.03),
        ],
        seed=seed,
    )
    ready: queue.Queue[Any] = queue.Queue(4)
    rng = np.random.default_rng(seed)

    def fill() -> None:
        while True:
            drawn = [train[place] for place in rng.integers(len(train), size=BATCH)]
            made = [change(image=image, mask=mask) for image, mask in drawn]
            images = (np.stack([one["image"] for one in made]).astype(np.float32) - MEAN) / STD
            labels = torch.from_numpy(np.stack([one["mask"] for one in made]).astype(np.int64))
            ready.put((torch.from_numpy(images).permute(0, 3, 1, 2), labels))  # channels last by its strides

    threading.Thread(target=fill, daemon=True).start()
    while True:
        yield ready.get()


def unet(classes: int, *, pretrained: bool) -> torch.nn.Module:
    """Return the peer's network."""
    if not pretrained:
        return smp.Unet("resnet18", encoder_weights=None, classes=classes)
    network = smp.Unet(f"tu-{LITE}", encoder_weights=None, classes=classes)
    tensors = in_timm_names(LITE, read_tensors(pretrained_file(f"timm:{LITE}")))
    assert load_by_name(network.encoder.model, tensors, 3), "not all weights fit"
    return network


def trained(
    train: Pairs, network: torch.nn.Module, size: tuple[int, int], seconds: float, encoder_rate: float
) -> tuple[torch.nn.Module, int]:
    """Train for so many seconds, the encoder at a share of the rate; return the network and its steps."""
    network = network.train().to(memory_format=torch.channels_last)
    encoder = list(network.encoder.parameters())
    others = [*network.decoder.parameters(), *network.segmentation_head.parameters()]
    groups = [{"params": encoder, "share": encoder_rate}, {"params": others, "share": 1.0}]
    optimizer = torch.optim.AdamW(groups, lr=RATE, weight_decay=0.01, fused=True)
    dice = smp.losses.DiceLoss("multiclass", ignore_index=IGNORE)
    batches, started, steps = crops(train, size, 0), time.monotonic(), 0
    while (gone := (time.monotonic() - started) / seconds) < 1:
        for group in optimizer.param_groups:
            group["lr"] = group["share"] * RATE * min(1.0, (steps + 1) / 50) * 0.5 * (1 + math.cos(math.pi * gone))
        images, labels = next(batches)
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(images)
        loss = F.cross_entropy(logits.float(), labels, ignore_index=IGNORE) + dice(logits.float(), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        steps += 1
        if steps % 50 == 0:
            print(f"step {steps}, {gone:.0%}, loss {loss.item():.3f}", flush=True)
    return network.eval(), steps


@torch.inference_mode()
def judged(network: torch.nn.Module, held_out: Pairs, classes: int) -> NDArray[np.float64]:
    """Return the IoU of each class over the held-out images."""
    counts = np.zeros((classes, classes), np.int64)
    for image, truth in held_out:
        x = torch.from_numpy((image.astype(np.float32) - MEAN) / STD).permute(2, 0, 1)[None]
        height, width = truth.shape
        x = F.pad(x, (0, -width % 32, 0, -height % 32), mode="replicate")
        labels = network(x)[0, :, :height, :width].argmax(0).numpy().astype(np.uint8)
        counts += confusion_matrix(labels, truth, classes)
    return iou(per_class(counts))


def main() -> None:
    """Train the peer and print what it reached."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--crop", type=int, nargs=2, default=(256, 320))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--pretrained", action="store_true")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    found, names = pairs(arguments.run, arguments.data)
    network = unet(len(names), pretrained=arguments.pretrained)
    share = 1 / 3 if arguments.pretrained else 1.0
    network, steps = trained(found["train"], network, tuple(arguments.crop), arguments.seconds, share)
    values = judged(network, found["test"] or found["val"], len(names))
    classes = dict(zip(names, values.tolist(), strict=True))
    result = {"iou": float(mean_defined(values)), "steps": steps, "classes": classes}
    print(json.dumps(result) if arguments.json else result)


if __name__ == "__main__":
    main()
