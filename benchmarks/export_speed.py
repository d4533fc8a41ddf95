"""Exports of trained models against PyTorch: milliseconds for one tile, and what int8 costs in score, in one run.

Each run given is exported to every target and precision, by `maskwright export` itself, so each export has agreed with
its model on held-out images. Then one tile goes through all of them in turns: PyTorch in float32 as its user would
write it (`eager`, memory as it comes), PyTorch as `predict` runs it (`torch`, channels last), and each export. Times of
the processor are given too, which other programs disturb less; with several threads they count waiting in loops, so
compare them with `--threads 1`.
Run: python benchmarks/export_speed.py RUN... [--only openvino openvino-int8] [--size 512] [--image FILE] [--threads 2]
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

import maskwright as mw
from maskwright.core import resources
from maskwright.core.errors import MaskwrightError
from maskwright.data.readers import read_image
from maskwright.inference.engine import method_of
from maskwright.inference.exported import OpenvinoEngine
from maskwright.inference.opening import How, opened
from maskwright.models import bundle
from maskwright.ops.images import resize_image

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

EXPORTS = {
    name: (name.removesuffix("-int8"), name.endswith("-int8"))
    for name in ("onnx", "onnx-int8", "openvino", "openvino-int8")
}
WARM = 3


def eager(run: Path, tile: NDArray[np.uint8]) -> Callable[[], Any]:
    """Return the model in plain PyTorch."""
    segmenter, card = bundle.load(run / "model.safetensors")
    mean, std = (torch.tensor(values).reshape(1, -1, 1, 1) for values in (card.data.mean, card.data.std))

    def forward() -> Any:
        with torch.no_grad():
            return segmenter((torch.from_numpy(tile).permute(0, 3, 1, 2).float() - mean) / std)

    return forward


def engine(path: Path, tile: NDArray[np.uint8], *, fast: bool = False) -> Callable[[], Any]:
    """Return a model file in the engine that reads it, which knows this size of tile as it knows that of its card."""
    found, card = opened(path, How("cpu", fast=fast))
    if isinstance(found, OpenvinoEngine):
        found._planned = {tile.shape[:3]}
    return lambda: method_of(found, card)(tile)


def exported(run: Path, folder: Path, names: list[str], allow_loss: float) -> dict[str, dict[str, Any]]:
    """Export a run to each target; return file, loss and agreement, or why it was refused, by name."""
    found: dict[str, dict[str, Any]] = {}
    for name in names:
        target, int8 = EXPORTS[name]
        try:
            result = mw.export(run, to=target, int8=int8, allow_loss=allow_loss, out=folder / name)
        except MaskwrightError as error:
            found[name] = {"refused": str(error)}
            continue
        parity, mb = result.parity, result.parity.exported.bytes / 1e6
        found[name] = {"file": result.file, "loss": parity.loss, "labels": parity.agreement.labels, "mb": mb}
        if int8:
            found[name]["kept"] = result.kept
        if target == "openvino" and resources.multiplies_bfloat16():
            found[f"{name}-bf16"] = {**found[name], "fast": True}
    return found


def timed(networks: dict[str, Callable[[], Any]], repeats: int) -> dict[str, dict[str, float]]:
    """Return median milliseconds on the wall and of the processor; the networks take turns."""
    clocks = {"ms": time.perf_counter, "processor_ms": time.process_time}
    spent: dict[tuple[str, str], list[float]] = {(name, kind): [] for name in networks for kind in clocks}
    for repeat in range(repeats + WARM):
        for name, network in networks.items():
            before = {kind: clock() for kind, clock in clocks.items()}
            network()
            for kind, clock in clocks.items():
                if repeat >= WARM:
                    spent[name, kind].append(clock() - before[kind])
    return {name: {kind: 1000 * statistics.median(spent[name, kind]) for kind in clocks} for name in networks}


def measured(run: Path, arguments: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Export one run, and time it."""
    size = (arguments.size, arguments.size)
    tile = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    if arguments.image is not None:
        tile = resize_image(read_image(arguments.image), size)
    tile = tile[None].copy()
    with tempfile.TemporaryDirectory() as folder:
        rows: dict[str, dict[str, Any]] = {"eager": {}, "torch": {}}
        rows |= exported(run, Path(folder), arguments.only, arguments.allow_loss)
        networks = {"eager": eager(run, tile), "torch": engine(run, tile)}
        for name, row in rows.items():
            if "file" in row:
                networks[name] = engine(row.pop("file"), tile, fast=row.get("fast", False))
        for name, times in timed(networks, arguments.repeats).items():
            rows[name] |= times
        base = rows["eager"]
        for name in networks:
            rows[name]["speedup"] = base["ms"] / rows[name]["ms"]
            rows[name]["processor_speedup"] = base["processor_ms"] / rows[name]["processor_ms"]
    return rows


def main() -> None:
    """Measure each run, and print one row for each way to run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--only", nargs="+", choices=EXPORTS, default=list(EXPORTS))
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--image", type=Path, help="RGB, instead of noise, in which a network of objects finds few")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--allow-loss", type=float, default=0.3, help="points of the score that an export may lose")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    resources.cores = lambda: arguments.threads  # which the exports ask
    for run in arguments.runs:
        rows = measured(run, arguments)
        if arguments.json:
            print(json.dumps({"run": run.name, "size": arguments.size, "threads": arguments.threads, "rows": rows}))
            continue
        print(f"{run.name}, {arguments.size} x {arguments.size}, {arguments.threads} threads")
        for name, row in rows.items():
            words = " ".join(f"{key} {row[key]:.3g}" for key in row if isinstance(row[key], float))
            kept = f" in floating point: {', '.join(row['kept'])}" if row.get("kept") else ""
            print(f"  {name:20} {words}{kept}{row.get('refused', '')}", flush=True)


if __name__ == "__main__":
    main()
