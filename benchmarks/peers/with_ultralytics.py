"""Ultralytics YOLO for segmentation, from its yaml without pretrained weights.

Images of 320 pixels, near the size of most, and a step of the optimiser for every batch: with its defaults, images of
640 and 64 of them a step, minutes on a processor would be a few dozen steps. Else the defaults: `time` ends training
and shapes the rates, and the weights with the best validation score stay. Outlines are traced at four times the size,
since a polygon through the centres of the outer pixels would make each object a pixel smaller.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch
from exchange import Job, serve
from ultralytics import YOLO, settings

if TYPE_CHECKING:
    from pathlib import Path

    from exchange import Ids, Image, Predict

NETWORK = "yolo11n-seg.yaml"
SIZE, BATCH = 320, 16
FINER = 4


def outlines(ids: Ids) -> str:
    """Write the largest outline of each object as a line of a YOLO label file."""
    lines = []
    for number in np.unique(ids[ids > 0]):
        x, y, width, height = cv2.boundingRect((ids == number).astype(np.uint8))
        mask = (ids[y : y + height, x : x + width] == number).astype(np.uint8)
        large = cv2.resize(mask, None, fx=FINER, fy=FINER, interpolation=cv2.INTER_NEAREST)
        found, _ = cv2.findContours(large, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        outline = max(found, key=cv2.contourArea)[:, 0]
        points = ((outline + 0.5) / FINER + (x, y)) / (ids.shape[1], ids.shape[0])
        lines.append("0 " + " ".join(f"{value:.6f}" for value in points.ravel()))
    return "\n".join(lines)


def write(job: Job, home: Path) -> Path:
    """Write the data as YOLO wants them, and return their data.yaml."""
    for part, pairs in (("train", job.train), ("val", job.val)):
        for folder in ("images", "labels"):
            (home / folder / part).mkdir(parents=True)
        for place, (image, ids) in enumerate(pairs):
            cv2.imwrite(str(home / "images" / part / f"{place:05}.png"), image[:, :, ::-1])
            (home / "labels" / part / f"{place:05}.txt").write_text(outlines(ids), encoding="utf-8")
    table = home / "data.yaml"
    table.write_text(f"path: {home}\ntrain: images/train\nval: images/val\nnames: {{0: object}}\n", encoding="utf-8")
    return table


def trained(job: Job) -> tuple[Predict, dict[str, Any]]:
    settings.update({"sync": False})
    facts: dict[str, Any] = {"steps": 0}
    model = YOLO(NETWORK)

    def begin(trainer: Any) -> None:
        torch.set_num_threads(job.threads)
        trainer.args.time = job.left() / 3600  # what came before counts too

    def count(_trainer: Any) -> None:
        facts["steps"] += 1

    def epoch_ended(trainer: Any) -> None:
        facts.update(epochs=trainer.epoch + 1, seconds=job.gone())

    model.add_callback("on_train_start", begin)
    model.add_callback("on_train_batch_start", count)
    model.add_callback("on_train_epoch_end", epoch_ended)
    model.train(
        data=str(write(job, job.folder / "data")), time=job.left() / 3600, device="cpu", pretrained=False, amp=False,
        imgsz=SIZE, batch=BATCH, nbs=BATCH, plots=False, project=str(job.folder), name="run", seed=0,
    )  # fmt: skip

    def predict(image: Image) -> Ids:
        ids = np.zeros(image.shape[:2], np.int32)
        found = model.predict(image[:, :, ::-1], device="cpu", retina_masks=True, verbose=False)[0]
        if found.masks is not None:
            masks = found.masks.data.numpy() > 0.5
            for number in np.argsort(found.boxes.conf.numpy()):  # the surest last, over all others
                ids[masks[number]] = number + 1
        return ids

    return predict, facts


if __name__ == "__main__":
    serve(trained)
