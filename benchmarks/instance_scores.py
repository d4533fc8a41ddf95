"""How long the scores of objects take, beside faster-coco-eval in one run: medians, and ratios.

Needs the package faster-coco-eval. Run `python benchmarks/instance_scores.py [--images 5000] [--repeats 3]`.

Images of 480x640 pixels with ellipses of one class; nine in ten are predicted, shifted by up to 4 pixels, and one
prediction in ten is false. Ours starts from objects in memory and computes everything for masks and boxes, with
intervals. Theirs starts from a COCO data set and from results that are already loaded, with run-length codes, and
computes the average precision of masks, or of masks and boxes. Both must agree to 1e-6.
"""

from __future__ import annotations

import argparse
import time
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster

from maskwright.core.classes import Classes
from maskwright.core.instances import Instance, Instances
from maskwright.metrics.object_judge import ObjectJudge
from maskwright.ops.rle import encode

if TYPE_CHECKING:
    from collections.abc import Callable

Pictures = list[tuple[Instances, Instances]]
SIZE = (480, 640)
CLASSES = Classes.named(("background", "cell"))


def pictures(images: int, objects: int) -> Pictures:
    """Annotated and predicted objects."""
    random = np.random.default_rng(0)
    return [picture(random, objects) for _ in range(images)]


def picture(random: np.random.Generator, objects: int) -> tuple[Instances, Instances]:
    truth, found = [], []
    for _ in range(objects):
        mask = ellipse(*random.integers(12, 80, 2))
        top, left = (int(random.integers(0, side - part - 4)) for side, part in zip(SIZE, mask.shape, strict=True))
        truth.append(Instance(1, top, left, mask))
        if random.random() < 0.9:
            down, across = (int(step) for step in random.integers(0, 5, 2))
            found.append(Instance(1, top + down, left + across, mask, float(random.random())))
        if random.random() < 0.1:
            found.append(Instance(1, left % (SIZE[0] - 80), top, mask, float(random.random())))
    return Instances(SIZE, tuple(truth)), Instances(SIZE, tuple(found))


def ellipse(height: int, width: int) -> np.ndarray:
    rows, columns = np.ogrid[:height, :width]
    return ((2 * rows + 1) / height - 1) ** 2 + ((2 * columns + 1) / width - 1) ** 2 <= 1


def judged(data: Pictures) -> dict[str, float | None]:
    """All our scores."""
    judge = ObjectJudge(CLASSES)
    for number, (truth, found) in enumerate(data):
        judge.update(str(number), found, truth)
    return {key: estimate.value for key, estimate in judge.compute().mean.items()}


def entries(data: Pictures, side: int) -> list[dict]:
    """Annotations or results in COCO's form."""
    return [
        {
            "id": 0,
            "image_id": number,
            "category_id": 1,
            "segmentation": encode(entry.mask, SIZE, (entry.top, entry.left)),
            "bbox": [entry.left, entry.top, entry.mask.shape[1], entry.mask.shape[0]],
            "area": entry.area,
            "iscrowd": 0,
            "score": entry.score,
        }
        for number, pair in enumerate(data)
        for entry in pair[side].objects
    ]


def theirs(data: Pictures) -> Callable[[str], float]:
    """Return the evaluation by kind."""
    images = [{"id": number, "height": SIZE[0], "width": SIZE[1]} for number in range(len(data))]
    annotations = [entry | {"id": number} for number, entry in enumerate(entries(data, 0), start=1)]
    results = entries(data, 1)
    truth = COCO({"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "cell"}]})

    def loaded(kind: str) -> COCO:
        left_out = "bbox" if kind == "segm" else "segmentation"  # the area of a result is that of what is judged
        return truth.loadRes(
            [{key: value for key, value in entry.items() if key not in {left_out, "area"}} for entry in results]
        )

    predicted = {kind: loaded(kind) for kind in ("segm", "bbox")}

    def evaluate(kind: str) -> float:
        evaluation = COCOeval_faster(truth, predicted[kind], kind, print_function=lambda _: None)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        return float(evaluation.stats[0])

    return evaluate


def seconds(work: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--objects", type=int, default=7)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    data = pictures(options.images, options.objects)
    evaluate = theirs(data)
    found = judged(data)
    for key, kind in (("mask_ap", "segm"), ("box_ap", "bbox")):
        assert abs(found[key] - evaluate(kind)) < 1e-6, (key, found[key], evaluate(kind))
    ours = seconds(lambda: judged(data), options.repeats)
    masks, boxes = (seconds(lambda kind=kind: evaluate(kind), options.repeats) for kind in ("segm", "bbox"))
    print(f"{options.images} images with {options.objects} objects each")
    print(f"all scores of masks and boxes, with intervals: {ours:6.2f} s")
    print(f"faster-coco-eval, masks:                       {masks:6.2f} s, ratio {masks / ours:.2f}")
    print(f"faster-coco-eval, masks and boxes:             {masks + boxes:6.2f} s, ratio {(masks + boxes) / ours:.2f}")


if __name__ == "__main__":
    main()
