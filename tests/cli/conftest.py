"""Results as the workflows give them, made by hand, and a stand-in for any workflow: no torch, no training."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from maskwright.core.fingerprint import ChannelStats, ClassStats, Fingerprint, Spread
from maskwright.core.plan import Plan
from maskwright.core.records import Fault
from maskwright.metrics.label_metrics import BY_CLASS, IMAGE_METRICS, LABEL_METRICS
from maskwright.metrics.scores import Bin, Calibration, ClassScores, Estimate, ImageScore, Scores

Stand = Callable[..., ModuleType]


@dataclass(frozen=True)
class Result:
    """Any workflow's result: the fields that the command line reads."""

    run: Path = Path("runs/one")
    report: Path = Path("runs/one/report.html")
    steps: int = 120
    seconds: float = 61.0
    validation_score: float | None = 0.88
    scores: Scores | None = None
    notes: tuple[str, ...] = ()
    gain: None = None


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Stand:
    """Return a function that puts a module with the given names in the place of a real one."""

    def replace(module: str, **names: Any) -> ModuleType:
        fake = ModuleType(module)
        vars(fake).update(names)
        monkeypatch.setitem(sys.modules, module, fake)
        return fake

    return replace


@pytest.fixture(autouse=True)
def _any_path(stand_in: Stand) -> None:
    """Let every path pass: the workflows stand in here, and nothing is on disk."""
    names = ("check_training", "check_resuming", "check_model")
    stand_in("maskwright.workflows.runs.preflight", **{name: lambda *_, **__: None for name in names})


@pytest.fixture(autouse=True)
def _plain_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give every test the same terminal, whatever the machine's own is."""
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "NO_COLOR", "MASKWRIGHT_DEBUG", "RANK", "LINES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "120")


def make_fingerprint(**changes: Any) -> Fingerprint:
    spread = Spread(2, 4, 10, 30, 90)
    values: dict[str, Any] = {
        "root": "[data]",
        "format": "pairs",
        "layout": "train/ + trainannot/, index PNG",
        "images": 3,
        "splits": {"train": 2, "val": 1, "test": 0},
        "heights": Spread(360, 360, 360, 360, 360),
        "widths": Spread(480, 480, 480, 480, 480),
        "sizes": {"480x360": 3},
        "channels": {3: 3},
        "dtypes": {"uint8": 3},
        "intensity": tuple(ChannelStats(0, 255, 104.2, 75.5, 8, 255, 104.2, 75.4) for _ in range(3)),
        "class_stats": (
            ClassStats("Sky", 76000, 0.16, {"train": 2, "val": 1, "test": 0}, 9, spread, spread),
            ClassStats("Bicyclist", 0, 0.0, {"train": 0, "val": 0, "test": 0}, 0, None, None),
        ),
        "ignore_share": 0.031,
        "flip_horizontal": 0.97,
        "flip_vertical": 0.31,
        "groups": 0,
        "near_duplicates": 0,
        "decode_seconds": 0.0035,
        "faults": (),
    }
    return Fingerprint(**{**values, **changes})


def make_fault(kind: str = "unpaired", severity: Any = "error", path: str = "images/0007.png") -> Fault:
    return Fault(kind, severity, Path(path), "the image has no mask", "add masks/0007.png or remove the image")


def make_scores() -> Scores:
    some, none = Estimate(0.8712, 0.8521, 0.8883), Estimate(None, None, None)
    sky = ClassScores("Sky", 100, 3, {**dict.fromkeys(BY_CLASS, some), "hd95": Estimate(4.25, 3.0, 6.0)})
    absent = ClassScores("Bicyclist", 0, 0, dict.fromkeys(BY_CLASS, none))
    bins = (Bin(0.9, 0.8, 1.0),)
    return Scores(
        task="semantic",
        metrics=LABEL_METRICS,
        image_metrics=IMAGE_METRICS,
        headline="iou",
        images=3,
        groups=0,
        classes=(sky, absent),
        mean={"iou": some, "hd95": Estimate(4.25, None, None), "pixel_accuracy": some, "iou_per_image": some},
        calibration=Calibration(0.04, 0.01, 1.3, bins, bins),
        confusion=((100, 0), (0, 0)),
        per_image=(ImageScore("a.png", None, {"iou": 0.9, "dice": 0.95, "accuracy": 0.97}),),
    )


@pytest.fixture
def fingerprint() -> Callable[..., Fingerprint]:
    return make_fingerprint


@pytest.fixture
def fault() -> Callable[..., Fault]:
    return make_fault


@pytest.fixture
def scores() -> Scores:
    return make_scores()


@pytest.fixture
def result(scores: Scores) -> Result:
    return Result(scores=scores)


@pytest.fixture
def plan() -> Plan:
    return Plan(reasons={"optim.lr": "the usual one for AdamW", "train.steps": "600 s at 0.24 s a step"})
