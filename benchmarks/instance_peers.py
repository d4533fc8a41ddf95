"""A run of ours, and Cellpose, StarDist and Ultralytics, each trained from scratch on its images and in its time.

Each peer has an environment of its own below `--cache`, made by venv and pip, and is trained there as its documents say
(benchmarks/peers/) on the training images of RUN, with RUN's validation images to choose and fit by. `--seconds` count
from the first use of the data to the last step; importing, fitting thresholds and predicting come on top. Then each,
RUN among them, finds the objects of RUN's held-out images in one process with `--threads` threads (`predict_seconds`),
and one scorer counts them, and those of the folders `--maps`: one map of ids an image.
Run: python benchmarks/instance_peers.py RUN DATA --seconds 900 --out OUT [--maps maskwright=FOLDER] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment

import maskwright
from maskwright.core.instances import Instances
from maskwright.data.formats import read_dataset
from maskwright.data.labels import read_objects
from maskwright.data.readers import read_image
from maskwright.ops.draw import to_rgb8
from maskwright.ops.instance_maps import to_map
from maskwright.workflows.runs.split_lookup import like_training, reading

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

PEERS = {
    "cellpose": ("cellpose==3.1.1.2", "opencv-python-headless"),
    "stardist": ("stardist==0.9.2", "tensorflow-cpu==2.21.0"),
    "ultralytics": ("ultralytics==8.4.190",),
}
THRESHOLDS = np.arange(50, 91, 5) / 100
DARK = 64
PARTS = ("train", "val", "test")


@dataclass(frozen=True, eq=False)
class Sample:
    """One image: its id in the data set, its part of the split, RGB (H, W, 3), and its objects (H, W), 0 for none."""

    id: str
    part: str
    image: NDArray[np.uint8]
    ids: NDArray[np.int32]

    @property
    def group(self) -> str:
        """Tell fluorescence from the rest."""
        return "dark background" if np.median(self.image[self.ids == 0]) < DARK else "other"


def samples(run: Path, data: Path) -> list[Sample]:
    """Decode the images of a run, each with the part that it had there."""
    dataset, _ = like_training(run, read_dataset(data, reading(run)))
    found = []
    for record in dataset.records:
        image = to_rgb8(read_image(record.image))
        size = (image.shape[0], image.shape[1])
        objects = tuple(entry for entry in read_objects(dataset, record, size) if not entry.crowd)
        found.append(Sample(record.id, record.split or "train", image, to_map(Instances(size, objects))))
    return found


def counts(truth: NDArray[Any], found: NDArray[Any]) -> NDArray[np.int64]:
    """Count the objects that are found, extra and missed (T, 3) in one image, at most one prediction an object."""
    assert truth.shape == found.shape, f"the map is {found.shape}, and its image {truth.shape}"
    rows, columns = (np.unique(np.append(0, ids), return_inverse=True)[1][1:] for ids in (truth, found))
    size = (rows.max() + 1, columns.max() + 1)
    overlap = np.bincount(rows * size[1] + columns, minlength=size[0] * size[1]).reshape(size)
    union = overlap.sum(1, keepdims=True) + overlap.sum(0) - overlap
    iou = (overlap / np.maximum(union, 1))[1:, 1:]
    hits = np.array(
        [close[linear_sum_assignment(close, maximize=True)].sum() for close in iou >= THRESHOLDS[:, None, None]]
    )
    return np.stack([hits, iou.shape[1] - hits, iou.shape[0] - hits], axis=1)


def scores(found: NDArray[np.int64]) -> dict[str, float]:
    """Return F1 and average precision of counts (images, T, 3), summed over the images."""
    true, extra, missed = found.sum(0).T
    f1, precision = 2 * true / (2 * true + extra + missed), true / (true + extra + missed)
    at = {threshold: int(np.argmin(abs(THRESHOLDS - threshold))) for threshold in (0.5, 0.75)}
    return {"f1_50": float(f1[at[0.5]]), "f1_75": float(f1[at[0.75]]), "ap": float(precision.mean())}


def judged(held_out: list[Sample], maps: Iterable[NDArray[Any]]) -> dict[str, dict[str, float]]:
    """Score the maps of the held-out images, over all of them and over each group."""
    each = np.stack([counts(sample.ids, ids) for sample, ids in zip(held_out, maps, strict=True)])
    groups = np.array([sample.group for sample in held_out])
    chosen = {"all": np.ones(len(groups), bool)} | {name: groups == name for name in sorted(set(groups))}
    return {name: {"images": int(which.sum()), **scores(each[which])} for name, which in chosen.items()}


def hand_over(found: list[Sample], folder: Path) -> None:
    """Write the images for the peers, and the objects of those to learn from."""
    for part in PARTS:
        (folder / part).mkdir(parents=True)
    for place, sample in enumerate(found):
        shown = {"image": sample.image} | ({} if sample.part == "test" else {"ids": sample.ids})
        np.savez(folder / sample.part / f"{place:05}.npz", **shown)


def interpreter(cache: Path, name: str) -> Path:
    """Make the environment of a peer, or look whether it is complete, and return its Python."""
    python = cache / name / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", cache / name], check=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", *PEERS[name]], check=True)
    return python


def environment(folder: Path, threads: int) -> dict[str, str]:
    """Return the variables of a peer's process: its threads, its own folder for settings, no GPU and no telemetry."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
    own = {name: str(folder) for name in ("YOLO_CONFIG_DIR", "CELLPOSE_LOCAL_MODELS_PATH", "MPLCONFIGDIR")}
    fixed = {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false", "CUDA_VISIBLE_DEVICES": ""}
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return {**kept, **dict.fromkeys(names, str(threads)), **own, **fixed}


def run_peer(python: Path, out: Path, name: str, seconds: float, threads: int) -> dict[str, Any]:
    """Train a peer and let it predict; return the facts that it reports."""
    folder = (out / name).resolve()
    folder.mkdir()
    words = [
        python,
        Path(__file__).parent / "peers" / f"with_{name}.py",
        out / "data",
        folder,
        str(seconds),
        str(threads),
    ]
    with (folder / "log.txt").open("w") as log:
        code = subprocess.run(words, env=environment(folder, threads), stdout=log, stderr=log, check=False).returncode
    if code:
        sys.exit(f"{name} failed, see {folder / 'log.txt'}")
    return json.loads((folder / "facts.json").read_text(encoding="utf-8"))


def run_ours(run: Path, held_out: list[Sample], threads: int) -> tuple[dict[str, Any], list[NDArray[Any]]]:
    """Find the objects of the held-out images; return the facts, and a map of ids for each image."""
    torch.set_num_threads(threads)
    model = maskwright.load(run)
    began = time.monotonic()
    maps = [to_map(model.predict(sample.image).result) for sample in held_out]
    return {"predict_seconds": time.monotonic() - began}, maps


def map_of(folder: Path, sample: Sample) -> NDArray[Any]:
    """Read the map of an image: the file below the folder that has its name, or its path from any folder on."""
    parts = PurePosixPath(sample.id).with_suffix("").parts
    tails = (folder.joinpath(*parts[place:]) for place in range(len(parts)))
    files = [
        file for tail in tails for suffix in (".tif", ".png") if (file := tail.parent / (tail.name + suffix)).exists()
    ]
    if not files:
        sys.exit(f"{folder} has no map of {sample.id}")
    return read_image(files[0])[:, :, 0]


def line(name: str, result: dict[str, Any]) -> str:
    """Write one row of the table."""
    cells = [f"{100 * entry[key]:.1f}" for entry in result["scores"].values() for key in ("f1_50", "f1_75", "ap")]
    return f"| {name} | {' | '.join(cells)} | {json.dumps(result['facts'])} |"


def main() -> None:
    """Train the peers one after the other and print what each reaches."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--seconds", type=float, default=900)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "peers", help="for the environments")
    parser.add_argument("--out", type=Path, required=True, help="new folder for the data, the logs and the maps")
    parser.add_argument("--only", nargs="*", default=list(PEERS), choices=list(PEERS), metavar="PEER")
    parser.add_argument("--maps", action="append", default=[], metavar="NAME=FOLDER", help="score these too")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    found = samples(chosen.run, chosen.data)
    held_out = [sample for sample in found if sample.part == "test"]
    pythons = {name: interpreter(chosen.cache, name) for name in chosen.only}
    hand_over(found, chosen.out / "data")
    megapixels = sum(sample.ids.size for sample in held_out) / 1e6
    facts, maps = run_ours(chosen.run, held_out, chosen.threads)
    results: dict[str, Any] = {"maskwright": {"facts": facts, "scores": judged(held_out, maps)}}
    for name, folder in (entry.split("=", 1) for entry in chosen.maps):
        maps = [map_of(Path(folder), sample) for sample in held_out]
        results[name] = {"facts": {}, "scores": judged(held_out, maps)}
    for name, python in pythons.items():
        facts = run_peer(python, chosen.out, name, chosen.seconds, chosen.threads)
        maps = [np.load(path) for path in sorted((chosen.out / name / "found").iterdir())]
        results[name] = {"facts": facts, "scores": judged(held_out, maps)}
        print(line(name, results[name]), file=sys.stderr, flush=True)
    for result in results.values():
        if "predict_seconds" in result["facts"]:
            result["facts"]["seconds_a_megapixel"] = result["facts"]["predict_seconds"] / megapixels
    if chosen.json:
        print(json.dumps(results))
        return
    groups = next(iter(results.values()))["scores"]
    heads = [
        f"{key}, {name} ({entry['images']})" for name, entry in groups.items() for key in ("F1 0.5", "F1 0.75", "AP")
    ]
    print(f"| | {' | '.join(heads)} | facts |", f"|---{'|---' * (len(heads) + 1)}|", sep="\n")
    print(*(line(name, result) for name, result in results.items()), sep="\n")


if __name__ == "__main__":
    main()
