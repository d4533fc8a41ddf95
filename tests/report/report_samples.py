"""Made-up scores, data and examples that the report's tests share."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np

from maskwright.core.classes import Classes
from maskwright.core.fingerprint import ChannelStats, ClassStats, Fingerprint, Spread
from maskwright.core.plan import Plan
from maskwright.core.records import Fault
from maskwright.metrics.label_metrics import BY_CLASS, IMAGE_METRICS, LABEL_METRICS
from maskwright.metrics.scores import Bin, Calibration, ClassScores, Estimate, ImageScore, Scores
from maskwright.report.content import Example, ReportData
from maskwright.tasks import label_pictures

UNDEFINED = Estimate(None, None, None)
CRACK = Classes.named(["background", "crack"])
VOID = {"meta", "link", "img", "br", "hr", "input"}


class Page(HTMLParser):
    """Reads a page, insists that every tag is closed in order, and keeps what the tests ask for."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> closes another element, at {self.getpos()}"

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in {"script", "style"}:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def estimate(value: float, width: float = 0.02) -> Estimate:
    return Estimate(value, value - width, value + width)


def class_scores(name: str, value: float = 0.8, **changes: Any) -> ClassScores:
    """One class whose every share is `value` and whose HD95 is 5 px; `changes` are fields or values by key."""
    values = {**dict.fromkeys(BY_CLASS, estimate(value)), "hd95": Estimate(5.0, 4.0, 6.0)}
    values.update({key: changes.pop(key) for key in list(changes) if key in values})
    return replace(ClassScores(name=name, pixels=1000, images=20, values=values), **changes)


def absent(name: str) -> ClassScores:
    return ClassScores(name=name, pixels=0, images=0, values=dict.fromkeys(BY_CLASS, UNDEFINED))


def make_scores(*classes: ClassScores, **changes: Any) -> Scores:
    mean = dict.fromkeys([metric.key for metric in LABEL_METRICS], estimate(0.8))
    mean.update(hd95=Estimate(5.0, 4.0, 6.0), pixel_accuracy=estimate(0.9))
    count = len(classes)
    confusion = tuple(tuple(90 if row == column else 10 for column in range(count)) for row in range(count))
    scores = Scores(
        task="semantic",
        metrics=LABEL_METRICS,
        image_metrics=IMAGE_METRICS,
        headline="iou",
        images=40,
        groups=0,
        classes=classes,
        mean=mean,
        calibration=None,
        confusion=confusion,
        per_image=tuple(
            ImageScore(f"{index}.png", None, {"iou": 0.8, "dice": 0.9, "accuracy": 0.9}) for index in range(40)
        ),
    )
    return replace(scores, **changes)


def make_data(*names: str, **changes: Any) -> ReportData:
    """The least a report can be made from: scores and classes, nothing else."""
    names = names or ("background", "crack")
    data = ReportData(
        title="Cracks", scores=make_scores(*(class_scores(name) for name in names)), classes=Classes.named(names)
    )
    return replace(data, **changes)


def calibration(*, scaled: bool = True, ece: float = 0.08) -> Calibration:
    bins = tuple(Bin((index + 0.5) / 15, (index + 0.2) / 15, 1 / 15) for index in range(15))
    return Calibration(ece, 0.01 if scaled else None, 1.5 if scaled else 1.0, bins, bins if scaled else ())


def make_fingerprint(*names: str, faults: tuple[Fault, ...] = ()) -> Fingerprint:
    spread = Spread(1, 2, 3, 4, 5)
    stats = tuple(ClassStats(name, 500, 0.5, {"train": 30, "test": 10}, 70, spread, None) for name in names)
    return Fingerprint(
        root="/data/cracks",
        format="folder",
        layout="images/ + masks/, index PNG",
        images=40,
        splits={"train": 30, "test": 10},
        heights=spread,
        widths=spread,
        sizes={"480x320": 38, "320x480": 2},
        channels={3: 40},
        dtypes={"uint8": 40},
        intensity=(ChannelStats(0, 255, 100, 50, 1, 250, 100, 49),),
        class_stats=stats,
        ignore_share=0.034,
        flip_horizontal=0.9,
        flip_vertical=0.1,
        groups=4,
        near_duplicates=2,
        decode_seconds=0.01,
        faults=faults,
    )


def fault(name: str = "a.png", *, severity: Any = "error", cure: str = "delete it") -> Fault:
    return Fault("unpaired", severity, Path("/data/cracks/images") / name, "has no mask", cure)


def make_example(
    name: str = "a.png",
    score: float | None = 0.75,
    size: tuple[int, int] = (12, 16),
    classes: Classes = CRACK,
) -> Example:
    """An image whose left half is class 1, of which one column is missed."""
    truth = np.zeros(size, np.uint8)
    truth[:, : size[1] // 2] = 1
    prediction = truth.copy()
    prediction[:, 0] = 0
    image = np.full((*size, 3), 120, np.uint8)
    panels, note = label_pictures.paint(image, truth, prediction, classes)
    return Example(name, score, panels, note, label_pictures.legend((truth, prediction), classes))


def make_history(steps: int = 40) -> list[dict[str, float | None]]:
    return [
        {
            "step": step,
            "seconds": step * 2.0,
            "loss": 2.0 / step,
            "lr": 0.001,
            "val_iou": 0.5 + step / 1000 if step % 10 == 0 else None,
        }
        for step in range(1, steps + 1)
    ]


def full_data() -> ReportData:
    """A report with every part there is."""
    names = ("background", "crack", "ghost")
    classes = (class_scores("background", 0.99), class_scores("crack", 0.6312), absent("ghost"))
    return ReportData(
        title="Cracks",
        scores=make_scores(*classes, calibration=calibration()),
        classes=Classes.named(names),
        split="test",
        plan=Plan(reasons={"optim.lr": "found by the range test", "model.name": "fits the budget"}),
        fingerprint=make_fingerprint(*names, faults=(fault(),)),
        history=make_history(),
        examples=(make_example("worst.png", 0.2), make_example("best.png", 0.9)),
        environment={"maskwright": "0.1.0", "git revision": "abc1234"},
    )
