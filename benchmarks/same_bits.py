"""Show whether a change of the code changed any bit of what trainings produce.

    python benchmarks/same_bits.py record before.json --shared ../shared/data
    ... change the code ...
    python benchmarks/same_bits.py record after.json --shared ../shared/data
    python benchmarks/same_bits.py compare before.json after.json

Each set is trained for a fixed number of steps with a fixed seed, and its test images are predicted. Recorded are a
digest of every tensor of the model and of the pixels of every mask, and every number of metrics.json. What depends on
the clock is fixed by `--set` (how often validation takes place) or left out (seconds). Run it on an otherwise equal
machine, with the same number of threads: sums are rounded differently otherwise.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from safetensors.numpy import load_file

SETS = ("camvid", "cracks", "nuclei", "demo")
FIXED = (
    "task=semantic",
    "model.pretrained=false",
    "train.validations=4",
    "train.validation_images=16",
    "train.threads=1",
)
CLOCK = {"seconds", "training_seconds"}


def main() -> int:
    """Record or compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    record = verbs.add_parser("record", help="train each set and write what came out")
    record.add_argument("out", type=Path)
    record.add_argument("--shared", type=Path, default=Path("../shared/data"))
    record.add_argument("--steps", type=int, default=200)
    record.add_argument("--sets", nargs="+", default=list(SETS))
    compare = verbs.add_parser("compare", help="say in what two recordings differ")
    compare.add_argument("before", type=Path)
    compare.add_argument("after", type=Path)
    options = parser.parse_args()
    if options.verb == "record":
        recorded = {name: recorded_of(name, options.shared, options.steps) for name in options.sets}
        options.out.write_text(json.dumps(recorded, indent=1))
        return 0
    return compared(*(json.loads(path.read_text()) for path in (options.before, options.after)))


def recorded_of(name: str, shared: Path, steps: int) -> dict[str, Any]:
    """Train one set, predict its test images, and return digests and numbers."""
    with tempfile.TemporaryDirectory() as folder:
        run, masks = Path(folder, "run"), Path(folder, "masks")
        data = shared / name
        if name == "demo":
            data = Path(folder, "textures")
            maskwright("demo", "--data-only", "--out", data)
        settings = [word for setting in FIXED for word in ("--set", setting)]
        maskwright("train", data, "--steps", steps, "--seed", 0, "--out", run, *settings)
        split = json.loads((run / "split.json").read_text())
        test = [data / record for record, entry in sorted(split.items()) if entry["split"] == "test"][:12]
        maskwright("predict", run, *test, "--out", masks)
        metrics = json.loads((run / "metrics.json").read_text())
        return {
            "tensors": {key: digest(value) for key, value in load_file(run / "model.safetensors").items()},
            "masks": {path.name: digest(np.asarray(Image.open(path))) for path in sorted(masks.rglob("*.png"))},
            "metrics": {key: value for key, value in flat(metrics).items() if key.rpartition(".")[2] not in CLOCK},
        }


def maskwright(*words: object) -> None:
    """Run one verb in a process of its own, with the code that this interpreter would import."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    subprocess.run([sys.executable, "-m", "maskwright", *map(str, words)], check=True, env=environment)


def digest(array: np.ndarray) -> str:
    """Return a digest of shape, type and bytes."""
    text = f"{array.shape}{array.dtype}".encode()
    return hashlib.sha256(text + np.ascontiguousarray(array).tobytes()).hexdigest()[:16]


def flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Flatten nested values to dotted keys."""
    if isinstance(value, dict):
        parts = value.items()
    elif isinstance(value, list):
        parts = ((str(place), entry) for place, entry in enumerate(value))
    else:
        return {prefix.rstrip("."): value}
    return {key: entry for name, inner in parts for key, entry in flat(inner, f"{prefix}{name}.").items()}


def compared(before: dict[str, Any], after: dict[str, Any]) -> int:
    """Print what differs, set by set; return 1 where anything does."""
    differs = False
    for name in before.keys() & after.keys():
        for kind in ("tensors", "masks", "metrics"):
            old, new = before[name][kind], after[name][kind]
            changed = sorted(key for key in old.keys() & new.keys() if old[key] != new[key])
            gone, come = sorted(old.keys() - new.keys()), sorted(new.keys() - old.keys())
            same = not (changed or gone or come)
            differs |= not same
            print(f"{name:8} {kind:8} {len(old):5} recorded: {'identical' if same else 'DIFFERENT'}")
            for label, keys in (("changed", changed), ("gone", gone), ("new", come)):
                if keys:
                    print(f"    {label}: {len(keys)}, such as {', '.join(keys[:4])}")
    return int(differs)


if __name__ == "__main__":
    sys.exit(main())
