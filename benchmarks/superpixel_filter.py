"""The superpixel filter against the dense CRF: processor time by the number of classes, and scores after a network.

The times are processor milliseconds of one thread on one photograph with smooth random probabilities and the default
settings, medians of turns. With --run, both are fitted on validation images of a trained semantic model, as `evaluate
--postprocess` does in --seconds each, and scored on its first test images: the network alone, with either, and with the
CRF after the filter, both with the settings that were fitted alone. The model file is not changed.

Run: OMP_NUM_THREADS=1 python benchmarks/superpixel_filter.py PHOTOGRAPH [--run RUN --data DATA] [--json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch

from maskwright.data.readers import read_image
from maskwright.ops.tiles import UNCUT, Cuts
from maskwright.postprocess import find_postprocessor
from maskwright.postprocess.dense_crf import DenseCrf
from maskwright.workflows.evaluate_parts.evaluation import opened
from maskwright.workflows.evaluate_parts.postprocess_fit import fit
from maskwright.workflows.request import EvaluateRequest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from maskwright.postprocess import Postprocessor

CLASSES = (2, 11, 21, 80)
METHODS = ("superpixels", "crf")
METRICS = ("iou", "boundary_iou")


class FilterThenCrf(DenseCrf):
    """The CRF on probabilities that the superpixel filter changed."""

    def __init__(self, crf: DenseCrf, superpixel_filter: Postprocessor) -> None:
        super().__init__(crf.settings)
        self._filter = superpixel_filter

    @property
    def reach(self) -> float:
        """Pixels that one may have an influence on through both."""
        return super().reach + self._filter.reach

    def apply(self, maps: NDArray[np.float32], image: NDArray[np.uint8], cuts: Cuts = UNCUT) -> NDArray[np.float32]:
        """Apply one after the other."""
        return super().apply(self._filter.apply(maps, image, cuts), image, cuts)


def milliseconds(photograph: NDArray[np.uint8], repeats: int) -> dict[str, dict[str, float]]:
    """Return the time of both methods for each number of classes."""
    rng, (height, width) = np.random.default_rng(0), photograph.shape[:2]
    table: dict[str, dict[str, float]] = {}
    for classes in CLASSES:
        coarse = 3 * rng.normal(size=(classes, 12, 16)).astype(np.float32)
        logits = np.stack([cv2.resize(one, (width, height), interpolation=cv2.INTER_CUBIC) for one in coarse])
        maps = torch.from_numpy(logits).softmax(0).numpy()
        times: dict[str, list[float]] = {name: [] for name in METHODS}
        for repeat in range(repeats + 1):
            for name in METHODS:
                started = time.process_time()
                find_postprocessor(name)().apply(maps, photograph)
                if repeat:  # the first time warms up
                    times[name].append(1000 * (time.process_time() - started))
        table[str(classes)] = {name: round(statistics.median(taken), 1) for name, taken in times.items()}
    return table


def scores(run: Path, data: Path, images: int, seconds: float) -> dict[str, Any]:
    """Fit both methods and score them."""
    evaluation = opened(run, data, EvaluateRequest())
    evaluation = replace(evaluation, records=evaluation.records[:images])
    network = evaluation.predictor
    validation = [record for record in evaluation.dataset.records if record.annotation and record.split == "val"]
    found, sentences = {}, {}
    for name in METHODS:
        method = find_postprocessor(name)
        fitted = fit(name, network, evaluation.dataset, validation, method().settings, time.monotonic() + seconds)
        assert fitted is not None, "no validation image can be read"
        found[name], sentences[name] = method(fitted.settings), fitted.sentence()
    crf = found["crf"]
    assert isinstance(crf, DenseCrf)
    after = {"network": None, **found, "superpixels, then crf": FilterThenCrf(crf, found["superpixels"])}
    table = {}
    for name, postprocessor in after.items():
        means = evaluation.scored(network.with_postprocessor(postprocessor), None).mean
        table[name] = {key: means[key].value for key in METRICS}
    return {"images": len(evaluation.records), "fits": sentences, "scores": table}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photograph", type=Path)
    parser.add_argument("--run", type=Path, help="run folder of a semantic model")
    parser.add_argument("--data", type=Path, help="what it was trained on")
    parser.add_argument("--images", type=int, default=25)
    parser.add_argument("--seconds", type=float, default=90, help="of each fit")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    photograph = np.ascontiguousarray(read_image(options.photograph)[:, :, :3])
    result: dict[str, Any] = {"milliseconds": milliseconds(photograph, options.repeats)}
    if options.run:
        result |= scores(options.run, options.data, options.images, options.seconds)
    if options.json:
        print(json.dumps(result, indent=2))
        return
    for classes, times in result["milliseconds"].items():
        print(f"{classes} classes:", *(f"{name} {taken} ms" for name, taken in times.items()))
    for sentence in result.get("fits", {}).values():
        print(sentence)
    for name, means in result.get("scores", {}).items():
        print(f"{name}:", *(f"{key} {value:.3f}" for key, value in means.items()))


if __name__ == "__main__":
    main()
