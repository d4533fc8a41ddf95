"""Kill a training again and again, at seeded random moments, and see whether it ends in the same bits.

    python benchmarks/kill_test.py --kills 50

Trains once undisturbed, then once more while `kill -9` strikes in every part of its life: planning, start, steps, the
writing of checkpoints, evaluation, report. After each kill it goes on with `--resume`; a kill before the run folder is
whole must be answered by an error that says so, and the training begins anew in the same folder. At the end every
tensor of the model and of the last checkpoint must be the same, bit for bit. Exit code 1 otherwise.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from safetensors.numpy import load_file

SMALL = (
    "model.pretrained=false",
    "model.options={widths: [8, 16, 16, 32], width: 16}",
    "model.dropout=0.1",
    "sampling.crop=[32, 32]",
    "sampling.batch=4",
    "train.validations=6",
)
SHARES = {"planning": 0.1, "start": 0.12, "steps": 0.6, "end": 0.18}
"""Parts of a training's life, and how many of the kills strike there."""
POLL = 0.002
PATIENCE = 300.0


@dataclass
class Life:
    """One training, in as many attempts as it takes."""

    data: Path
    run: Path
    options: list[str]
    attempts: int = 0
    stages: Counter[str] = field(default_factory=Counter)

    def words(self) -> list[str]:
        """Return the command that begins it, or goes on with it."""
        start = [sys.executable, "-m", "maskwright", "train"]
        if (self.run / "plan.yaml").exists():
            return [*start, "--resume", str(self.run), "--device", "cpu"]
        return [*start, str(self.data), *self.options, "--out", str(self.run)]

    def begin(self) -> subprocess.Popen[str]:
        """Start the next attempt."""
        self.attempts += 1
        with (self.run.parent / f"{self.run.name}.log").open("w") as log:
            return subprocess.Popen(self.words(), env=environment(), stdout=log, stderr=log, text=True)

    def log(self) -> str:
        """Return what the current attempt has said so far."""
        return (self.run.parent / f"{self.run.name}.log").read_text()

    def step(self) -> int:
        """Return the newest step that is safe."""
        steps = [int(path.stem.removeprefix("step-")) for path in (self.run / "checkpoint").glob("step-*")]
        return max(steps, default=0)

    def stage(self) -> str:
        """Say what it was doing last, from its own words."""
        stages = [line.partition(":")[0] for line in self.log().splitlines()]
        known = [stage for stage in stages if stage in {"plan", "train", "evaluate", "report"}]
        return known[-1] if known else "start"


def environment() -> dict[str, str]:
    threads = os.environ.get("OMP_NUM_THREADS", "1")
    return {**os.environ, "OMP_NUM_THREADS": threads, "HF_HUB_OFFLINE": "1", "COLUMNS": "400"}


def make_data(root: Path) -> Path:
    """Write twelve small pictures of discs and squares on noise."""
    for place, (split, count) in enumerate({"train": 8, "val": 2, "test": 2}.items()):
        for number in range(count):
            rng = np.random.default_rng(100 * place + number)
            mask = np.zeros((48, 64), np.uint8)
            cv2.circle(mask, (int(rng.integers(12, 52)), int(rng.integers(12, 36))), int(rng.integers(7, 11)), 1, -1)
            top, left = int(rng.integers(2, 34)), int(rng.integers(2, 50))
            mask[top : top + 11, left : left + 11] = 2
            image = rng.integers(0, 80, (48, 64, 3), dtype=np.uint8)
            image[mask > 0] += np.array([0, 20, 170], np.uint8)
            image[mask == 2] = image[mask == 2][:, ::-1]
            for folder, array in (("images", image), ("masks", mask)):
                path = root / folder / split / f"{number:02}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(path), array)
    return root


def whole_life(life: Life, steps: int) -> dict[str, float]:
    """Run to the end undisturbed, and return how long its parts took, in seconds."""
    began = time.monotonic()
    process = life.begin()
    marks: dict[str, float] = {}
    while process.poll() is None:
        now = time.monotonic() - began
        if (life.run / "plan.yaml").exists():
            marks.setdefault("planning", now)
        if life.step() > 0:
            marks.setdefault("first", now)
        if life.step() >= steps:
            marks.setdefault("last", now)
        time.sleep(POLL)
    end = time.monotonic() - began
    if process.returncode != 0:
        sys.exit(f"the undisturbed training failed:\n{life.log()}")
    return {
        "planning": marks["planning"],
        "start": marks["first"] - marks["planning"] + 2.0,
        "end": end - marks["last"],
        "life": end,
    }


def moments(kills: int, steps: int, rng: random.Random) -> list[tuple[str, float]]:
    """Draw where to strike: a part of the life, and for `steps` the share of them that is to be safe by then."""
    parts = rng.choices(list(SHARES), weights=list(SHARES.values()), k=kills)
    count = Counter(parts)
    middle = [("steps", rng.uniform(0, 1) * (steps - 1)) for _ in range(count["steps"])]
    middle += [("start", rng.uniform(0, 1) * (steps - 1)) for _ in range(count["start"])]
    middle.sort(key=lambda moment: moment[1])
    return [("planning", 0.0)] * count["planning"] + middle + [("end", 0.0)] * count["end"]


def strike(life: Life, moment: tuple[str, float], seconds: dict[str, float], rng: random.Random) -> bool:
    """Begin (or go on), wait for the moment and kill; return whether there was still something to kill."""
    part, target = moment
    process = life.begin()
    began = time.monotonic()
    if part in {"planning", "start"}:
        wait(process, rng.uniform(0, seconds[part]))
    else:
        while process.poll() is None and time.monotonic() - began < PATIENCE:
            if life.stage() in {"evaluate", "report"} if part == "end" else life.step() >= target:
                break
            time.sleep(POLL)
        wait(process, rng.uniform(0, seconds["end"] if part == "end" else 0.2))
    if process.poll() is not None:
        if process.returncode != 0:
            sys.exit(f"attempt {life.attempts} failed by itself:\n{life.log()}")
        return False
    process.kill()
    process.wait()
    life.stages[life.stage()] += 1
    if list(life.run.rglob(".*.*")):
        life.stages["of these, while a file was being written"] += 1
    if not (life.run / "plan.yaml").exists():
        life.stages["of these, before the run folder was whole"] += 1
        must_say_train_anew(life)
    return True


def wait(process: subprocess.Popen[str], seconds: float) -> None:
    """Wait so long, or until it is over by itself."""
    end = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < end:
        time.sleep(POLL)


def must_say_train_anew(life: Life) -> None:
    words = [sys.executable, "-m", "maskwright", "train", "--resume", str(life.run), "--device", "cpu"]
    answer = subprocess.run(words, env=environment(), capture_output=True, text=True, check=False)
    said = "train one with --out" if life.run.exists() else "does not exist"
    if answer.returncode != 2 or said not in answer.stderr:
        sys.exit(f"a half-made run folder was answered by {answer.returncode}: {answer.stderr}")


def differing(one: Path, two: Path) -> list[str]:
    """Return the names of the tensors that are not the same, bit for bit."""
    first, second = load_file(one), load_file(two)
    return [
        name
        for name in sorted(first.keys() | second.keys())
        if name not in first or name not in second or first[name].tobytes() != second[name].tobytes()
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", type=Path, help="folder of images and masks; made data when left out")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--set", dest="settings", action="append", default=[], help="as in maskwright train")
    parser.add_argument("--every", type=float, default=1e-6, help="train.checkpoint_seconds")
    parser.add_argument("--keep", type=Path, help="work here, and leave everything there")
    chosen = parser.parse_args()
    home = chosen.keep or Path(tempfile.mkdtemp(prefix="kill-test-"))
    home.mkdir(parents=True, exist_ok=True)
    settings = [*(() if chosen.data else SMALL), f"train.checkpoint_seconds={chosen.every}", *chosen.settings]
    options = ["--steps", str(chosen.steps), "--device", "cpu"]
    options += [word for setting in settings for word in ("--set", setting)]
    data = chosen.data or make_data(home / "data")
    rng = random.Random(chosen.seed)

    whole = Life(data, home / "whole", options)
    seconds = whole_life(whole, chosen.steps)
    print(f"undisturbed: {chosen.steps} steps in {seconds['life']:.1f} s", flush=True)
    began = time.monotonic()
    life = Life(data, home / "killed", options)
    kills = sum(strike(life, moment, seconds, rng) for moment in moments(chosen.kills, chosen.steps, rng))
    process = life.begin()
    if process.wait() != 0:
        sys.exit(f"the last attempt failed:\n{life.log()}")
    last = f"checkpoint/step-{chosen.steps:08d}.safetensors"
    found = {name: differing(whole.run / name, life.run / name) for name in ("model.safetensors", last)}
    print(f"killed {kills} times in {life.attempts} attempts, {time.monotonic() - began:.0f} s: {dict(life.stages)}")
    left = [str(path.relative_to(life.run)) for path in life.run.rglob(".*")]
    print(f"left lying about: {left or 'nothing'}")
    for name, names in found.items():
        count = len(load_file(whole.run / name))
        print(f"{name}: {count - len(names)} of {count} tensors bit-identical {names[:5] or ''}")
    if not chosen.keep:
        shutil.rmtree(home)
    return 1 if any(found.values()) or left else 0


if __name__ == "__main__":
    sys.exit(main())
