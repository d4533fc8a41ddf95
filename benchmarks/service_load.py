"""A service under load: its throughput beside the bare engine's, twice its capacity for a minute, and SIGTERM in it.

The load comes from this process, the service runs in another. The bare engine (one tile after the other, and nothing
else), a loop of `predict` (tiles to masks, no files) and the service take turns, since other work on the machine would
disturb one of them alone. The loops run in a thread, as the network of the service does: in the main thread OpenMP
waits busily, which costs it up to half of its speed on a machine that others use too. Then requests come at
fixed times, twice as many as the service can answer, whether earlier ones are answered or not; at the end, SIGTERM.
Exits with 1 if a rule is broken: no status of 500 or more, the 99th percentile of answered requests within the timeout,
flat memory, no accepted request without an answer.

Images have the size of a tile. Without RUN, an untrained network of 12 classes with tiles of 512 x 512 is served.

    python benchmarks/service_load.py [RUN] [--model NAME] [--seconds 60] [--timeout 10] [--serve "--batch 4"]
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import shlex
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np
import psutil

from maskwright import models
from maskwright.core.classes import Classes
from maskwright.core.plan import DataPlan, ModelPlan, PredictPlan
from maskwright.core.resources import cores
from maskwright.core.seeds import generator
from maskwright.inference import Predictor
from maskwright.models import bundle
from maskwright.models.bundle import Card, CardClasses

if TYPE_CHECKING:
    from collections.abc import Callable

CLIENTS = 300


class Outcome(NamedTuple):
    """Status of a request, 0 if the service did not take the connection, -1 if it broke it; and when, in seconds."""

    status: int
    sent: float
    seconds: float


class Target(NamedTuple):
    """The running service, and what is sent to it."""

    process: subprocess.Popen[str]
    port: int
    image: bytes

    def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """Return status and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def predict(self) -> Outcome:
        """Send the image."""
        sent = time.perf_counter()
        try:
            status, _ = self.ask("POST", "/v1/predict", self.image)
        except ConnectionRefusedError:
            status = 0
        except (OSError, http.client.HTTPException):
            status = -1
        return Outcome(status, sent, time.perf_counter() - sent)


def untrained(folder: Path, name: str, backbone: str) -> str:
    classes = Classes.named([f"class {k}" for k in range(12)])
    plan = ModelPlan(name=name, backbone=backbone, pretrained=False)
    card = Card(model=plan, classes=CardClasses.of(classes), data=DataPlan(), predict=PredictPlan(tile=(512, 512)))
    bundle.save(folder / "model.safetensors", models.create_from_plan(plan, card.channels, 3), card)
    return str(folder)


def photograph(size: tuple[int, int]) -> bytes:
    noise = generator(0, "photograph").integers(0, 256, (*size, 3), np.uint8)
    pixels = cv2.GaussianBlur(noise, (0, 0), 2.0)
    return cv2.imencode(".jpg", cv2.normalize(pixels, None, 0, 255, cv2.NORM_MINMAX))[1].tobytes()


def started(run: str, size: tuple[int, int], options: list[str]) -> Target:
    command = [sys.executable, "-m", "maskwright", "serve", run, "--port", "0", "--json", "--device", "cpu", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    text = ""
    while not text.rstrip().endswith("}"):
        line = process.stdout.readline()
        assert line, process.communicate()[1]
        text += line
    return Target(process, int(re.findall(r":(\d+)/", text)[0]), photograph(size))


class Rate(NamedTuple):
    """Images a second, and processor seconds an image."""

    images: float
    work: float


def loop_rate(run: Callable[[], object], seconds: float) -> Rate:
    def repeated() -> Rate:
        count, start, work = 0, time.perf_counter(), time.process_time()
        while time.perf_counter() - start < seconds:
            run()
            count += 1
        return Rate(count / (time.perf_counter() - start), (time.process_time() - work) / count)

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(repeated).result()


def service_rate(target: Target, seconds: float, clients: int) -> Rate:
    """Measure with so many requests at once, from the first answer on."""
    ends: list[tuple[float, float]] = []
    stop, process = time.perf_counter() + seconds, psutil.Process(target.process.pid)

    def ask() -> None:
        while time.perf_counter() < stop:
            if target.predict().status == 200:
                ends.append((time.perf_counter(), sum(process.cpu_times()[:2])))

    threads = [threading.Thread(target=ask) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ends.sort()
    (first, before), (last, after) = ends[0], ends[-1]
    return Rate((len(ends) - 1) / (last - first), (after - before) / (len(ends) - 1))


def flood(target: Target, rate: float, seconds: float, on_time: dict[float, Any]) -> list[Outcome]:
    """Send requests at fixed times; `on_time` has functions by the second at which they are called."""
    events, found = dict(on_time), []
    with ThreadPoolExecutor(CLIENTS) as pool:
        start, number = time.perf_counter(), 0
        while (now := time.perf_counter() - start) < seconds:
            for moment in [moment for moment in events if moment <= now]:
                events.pop(moment)()
            if now >= number / rate:
                found.append(pool.submit(target.predict))
                number += 1
            else:
                time.sleep(min(0.02, number / rate - now))
        return [each.result() for each in found]


class Memory:
    """Resident megabytes of a process, each half second."""

    def __init__(self, pid: int) -> None:
        self._process, self.seen, self._stop = psutil.Process(pid), [], threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self) -> None:
        while not self._stop.wait(0.5):
            try:
                self.seen.append(self._process.memory_info().rss / 1e6)
            except psutil.NoSuchProcess:
                return

    def close(self) -> None:
        """Stop looking."""
        self._stop.set()
        self._thread.join()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", nargs="?")
    parser.add_argument("--model", default="swiftnet")
    parser.add_argument("--backbone", default="timm:tf_efficientnet_lite0")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--timeout", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--serve", default="", help="further options of the service")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        return measure(given, given.run or untrained(Path(folder), given.model, given.backbone))


def measure(given: Any, run: str) -> int:
    predictor = Predictor.load(run, "cpu")
    options = ["--timeout", str(given.timeout), *shlex.split(given.serve)]
    target = started(run, predictor.card.predict.tile_size, options)
    pixels = cv2.imdecode(np.frombuffer(target.image, np.uint8), cv2.IMREAD_COLOR)
    bare, alone = (lambda: predictor.engine.forward(pixels[None])), (lambda: predictor.predict(pixels))
    bare()  # in the main thread, so that the loops are in another
    service_rate(target, 4, 4)
    rounds = [
        (loop_rate(bare, 6), loop_rate(alone, 6), service_rate(target, 6, 4 + cores())) for _ in range(given.rounds)
    ]
    served = statistics.median(of[2].images for of in rounds)
    memory = Memory(target.process.pid)
    outcomes = flood(target, 2 * served, given.seconds, {})
    memory.close()
    counters = target.ask("GET", "/metrics")[1].decode()
    stopping = flood(target, 2 * served, 6, {3.0: lambda: os.kill(target.process.pid, signal.SIGTERM)})
    said = target.process.communicate(timeout=300)[1].strip().splitlines()
    return report(given, rounds, outcomes, stopping, memory.seen, counters, said)


def _share(mine: list[float], others: list[float]) -> float:
    return round(statistics.median(a / b for a, b in zip(mine, others, strict=True)), 3)


def report(
    given: Any,
    rounds: list[tuple[Rate, Rate, Rate]],
    outcomes: list[Outcome],
    stopping: list[Outcome],
    memory: list[float],
    counters: str,
    said: list[str],
) -> int:
    times = sorted(one.seconds for one in outcomes if one.status == 200)
    tenth = max(1, len(memory) // 10)
    early, late = statistics.median(memory[tenth : 3 * tenth]), statistics.median(memory[-2 * tenth :])
    batches = {
        name: float(value) for name, value in re.findall(r"^maskwright_batch_tiles_(sum|count) (.*)$", counters, re.M)
    }
    ended = re.search(r"(\d+) requests were accepted, and (\d+) were answered", said[-1])
    images = [[rates[side].images for rates in rounds] for side in range(3)]
    work = [[rates[side].work for rates in rounds] for side in range(3)]
    result = {
        "cores": cores(),
        "images/s: engine, predict, service": [round(statistics.median(rates), 2) for rates in images],
        "processor ms an image: engine, predict, service": [round(1000 * statistics.median(each), 1) for each in work],
        "images/s of the service, by those of engine, predict": [_share(images[2], images[k]) for k in (0, 1)],
        "processor time of engine, predict, by that of the service": [_share(work[k], work[2]) for k in (0, 1)],
        "seconds of load": given.seconds,
        "requests sent": len(outcomes),
        "statuses": dict(Counter(str(one.status) for one in outcomes)),
        "latency of 200, s: p50, p99, most": [round(times[int(q * (len(times) - 1))], 2) for q in (0.5, 0.99, 1)],
        "latency of 429, s: most": round(max((one.seconds for one in outcomes if one.status == 429), default=0), 2),
        "answered images/s under load": round(len(times) / given.seconds, 2),
        "memory, MB: early, late, most": [round(early), round(late), round(max(memory))],
        "tiles a run of the network": round(batches["sum"] / batches["count"], 2),
        "statuses around SIGTERM (0: not taken any more)": dict(Counter(str(one.status) for one in stopping)),
        "the service's last words": said[-1],
    }
    print(json.dumps(result, indent=2))
    broken = []
    if any(one.status >= 500 or one.status < 0 for one in outcomes):
        broken.append("an error under load")
    if times[int(0.99 * (len(times) - 1))] > given.timeout:
        broken.append("answers later than the timeout")
    if late > 1.1 * early + 20:
        broken.append("memory grows")
    if ended is None or ended[1] != ended[2] or any(one.status >= 500 for one in stopping):
        broken.append("accepted requests without an answer")
    print("broken:", ", ".join(broken) or "nothing")
    return bool(broken)


if __name__ == "__main__":
    sys.exit(main())
