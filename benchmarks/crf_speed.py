"""The dense CRF: ours against pydensecrf (the authors' C++ code), speed and agreement of labels, in one run.

The first case is the size that is usually quoted, 375x500 pixels, 21 classes and 10 iterations: a photograph with
smooth random logits, of which no class is negligible. With --run, the unary terms of a trained model on real images
follow. The two sides alternate, each on one thread; processor seconds are given beside those of the clock, because on
a shared machine the clock counts the others as well. pydensecrf is no dependency: build its git head
(github.com/lucasb-eyer/pydensecrf) in an environment of its own; without it only ours is timed, and the output says so.

Run: python benchmarks/crf_speed.py PHOTOGRAPH [--run RUN --images IMAGE...] [--json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch

from maskwright.core.plan import CrfPlan
from maskwright.data.readers import read_image
from maskwright.inference import Predictor
from maskwright.postprocess.crf import FLOOR, refine

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Unary = tuple[str, NDArray[np.float32], NDArray[np.uint8]]

SIZE, CLASSES = (375, 500), 21
USUAL = CrfPlan(w1=10, theta_alpha=80, theta_beta=13, w2=3, theta_gamma=3)  # of pydensecrf's README


def theirs() -> Callable[..., NDArray[np.float32]] | None:
    """Return pydensecrf behind our signature, or None where it cannot be imported."""
    try:
        from pydensecrf.densecrf import DenseCRF2D
    except ImportError:
        return None

    def run(probabilities: NDArray[np.float32], image: NDArray[np.uint8], settings: CrfPlan) -> NDArray[np.float32]:
        classes, height, width = probabilities.shape
        crf = DenseCRF2D(width, height, classes)
        crf.setUnaryEnergy(-np.log(np.maximum(probabilities, FLOOR)).reshape(classes, -1))
        crf.addPairwiseGaussian(sxy=settings.theta_gamma, compat=settings.w2)
        beta = settings.theta_beta
        crf.addPairwiseBilateral(sxy=settings.theta_alpha, srgb=beta, rgbim=image, compat=settings.w1)
        return np.asarray(crf.inference(settings.iterations), np.float32).reshape(probabilities.shape)

    return run


def smooth(photograph: Path) -> Unary:
    """Return a photograph with random logits that change as slowly as a network's at stride 32."""
    image = np.ascontiguousarray(cv2.resize(read_image(photograph)[:, :, :3], SIZE[::-1]))
    rng = np.random.default_rng(0)
    coarse = 3 * rng.normal(size=(CLASSES, 12, 16)).astype(np.float32)
    logits = np.stack([cv2.resize(one, SIZE[::-1], interpolation=cv2.INTER_CUBIC) for one in coarse])
    return f"random, {photograph.name}", torch.from_numpy(logits).softmax(0).numpy(), image


def measured(unary: Unary, settings: CrfPlan, repeats: int) -> dict[str, Any]:
    """Time both sides on one image and compare their labels."""
    name, probabilities, image = unary
    result: dict[str, Any] = {"image": name, "classes": len(probabilities), "size": image.shape[:2]}
    sides = {"ours": refine, "pydensecrf": theirs()}
    labels = {}
    times: dict[str, list[tuple[float, float]]] = {side: [] for side in sides}
    for repeat in range(repeats + 1):
        for side, run in sides.items():
            if run is None:
                continue
            clock, processor = time.perf_counter(), time.process_time()
            labels[side] = run(probabilities, image, settings).argmax(0)
            if repeat:  # the first time warms up
                times[side].append((time.perf_counter() - clock, time.process_time() - processor))
    for side, taken in times.items():
        if taken:
            result[side] = [statistics.median(column) for column in zip(*taken, strict=True)]
    result["changed"] = float((labels["ours"] != probabilities.argmax(0)).mean())
    if "pydensecrf" in labels:
        result["ratio"] = [theirs / ours for ours, theirs in zip(result["ours"], result["pydensecrf"], strict=True)]
        result["agreement"] = float((labels["ours"] == labels["pydensecrf"]).mean())
    return result


def line(result: dict[str, Any]) -> str:
    """Say one result in words."""
    height, width = result["size"]
    text = f"{result['image']}, {width}x{height}, {result['classes']} classes: ours {result['ours'][0]:.2f} s "
    text += f"({result['ours'][1]:.2f} of the processor), {result['changed']:.1%} of the labels changed"
    if "ratio" not in result:
        return f"{text}; pydensecrf cannot be imported, so there is nothing to compare with"
    clock, processor = result["pydensecrf"]
    text += f"; pydensecrf {clock:.2f} s ({processor:.2f}), {result['ratio'][0]:.2f} times as long "
    return f"{text}({result['ratio'][1]:.2f}); {result['agreement']:.3%} of the labels agree"


def main() -> None:
    """Time both and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photograph", type=Path)
    parser.add_argument("--run", type=Path, help="run folder whose model gives real unary terms")
    parser.add_argument("--images", type=Path, nargs="*", default=[])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    results = [measured(smooth(arguments.photograph), USUAL, arguments.repeats)]
    if arguments.run:
        predictor = Predictor.load(arguments.run, "cpu")
        settings = [USUAL, *filter(None, [predictor.card.postprocess.crf])]
        for path in arguments.images:
            image = read_image(path)
            unary = (path.name, predictor.maps(image), np.ascontiguousarray(image))
            results += [measured(unary, one, arguments.repeats) for one in settings]
    print(json.dumps(results) if arguments.json else "\n".join(map(line, results)))


if __name__ == "__main__":
    main()
