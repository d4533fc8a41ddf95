"""What an evaluation found, as plain data that carries its own table of metrics. Computes nothing, knows no task."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any

from maskwright.metrics.metric import Estimate, Metric, read_estimate, rows_to_json, without_rows

__all__ = [
    "Bin",
    "Calibration",
    "ClassScores",
    "EdgeScores",
    "Estimate",
    "ImageScore",
    "Metric",
    "ObjectScores",
    "PrecisionCurve",
    "Scores",
    "SizeBin",
]


@dataclass(frozen=True)
class ClassScores:
    """One class, over the whole data set.

    Attributes:
        name: of the class.
        pixels: that the truth gives to it.
        images: whose truth shows it.
        values: metric key -> estimate.
    """

    name: str
    pixels: int
    images: int
    values: dict[str, Estimate]

    def __getitem__(self, key: str) -> Estimate:
        return self.values[key]


@dataclass(frozen=True)
class ImageScore:
    """One image.

    Attributes:
        id: of the record.
        group: that it belongs to, or None.
        values: metric key -> value, None where it is undefined (no pixel is labelled).
    """

    id: str
    group: str | None
    values: dict[str, float | None]


@dataclass(frozen=True)
class Bin:
    """One bar of a reliability diagram.

    Attributes:
        confidence: mean probability of the predicted class, of the pixels in this bin.
        accuracy: share of them that are right.
        share: of all pixels that fall into this bin.
    """

    confidence: float
    accuracy: float
    share: float


@dataclass(frozen=True)
class Calibration:
    """Whether a probability of 90 % is right nine times in ten.

    Attributes:
        ece: expected calibration error, 15 bins (Guo et al. 2017).
        ece_scaled: the same after dividing the logits by `temperature`; None where the temperature is 1.
        temperature: fitted on other data than these.
        bins, bins_scaled: the reliability diagrams of the two; empty bins have share 0.
    """

    ece: float
    ece_scaled: float | None
    temperature: float
    bins: tuple[Bin, ...]
    bins_scaled: tuple[Bin, ...]


@dataclass(frozen=True)
class SizeBin:
    """The true objects of one size.

    Attributes:
        low, high: their diameters, that of a circle of the same area, are in low..high (px), `high` excluded.
        found: by a prediction with an IoU of at least one half.
        missed: all others.
    """

    low: float
    high: float
    found: int
    missed: int


@dataclass(frozen=True)
class PrecisionCurve:
    """Precision over recall of masks as COCO computes it, averaged over classes; its mean is the average precision.

    Attributes:
        iou: from which on a prediction is right.
        precision: at the recalls 0, 0.01, ..., 1.
    """

    iou: float
    precision: tuple[float, ...]


@dataclass(frozen=True)
class ObjectScores:
    """What is known of objects beyond the metrics; crowds do not count.

    Attributes:
        counts: (true objects, predicted objects) of each image, in the order of `Scores.per_image`.
        sizes: from the smallest to the largest, without a gap (`metrics.object_sizes`).
        curves: at IoU 0.5 and 0.75; empty without an object.
    """

    counts: tuple[tuple[int, int], ...]
    sizes: tuple[SizeBin, ...]
    curves: tuple[PrecisionCurve, ...] = ()


@dataclass(frozen=True)
class EdgeScores:
    """Precision and recall of edges over the threshold, all images together.

    Attributes:
        threshold: with the largest F1, also between two thresholds.
        thresholds: ascending, of the two curves.
        precision, recall: at each threshold.
    """

    threshold: float
    thresholds: tuple[float, ...]
    precision: tuple[float, ...]
    recall: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Everything an evaluation found.

    Attributes:
        task: that was evaluated, a name of `tasks.TASKS`.
        metrics: of `mean` and of `classes`, in the order to show them.
        image_metrics: of `per_image`, in the order to show them.
        headline: key of the metric that models are compared by.
        images: scored.
        groups: that they fall into; 0 where there are none.
        classes: one entry a class, by index; empty for a task without classes.
        mean: metric key -> its mean over classes, or over images.
        per_image: one entry an image, in the order scored.
        calibration: None where no probabilities were scored.
        confusion: pixels, row truth, column prediction; empty for a task without classes.
        objects: for a task of objects; None for others.
        edges: for the task of edges; None for others.
        scope: which scenes the scores are limited to, in a sentence; None where they hold for new images.
    """

    task: str
    metrics: tuple[Metric, ...]
    image_metrics: tuple[Metric, ...]
    headline: str
    images: int
    groups: int
    classes: tuple[ClassScores, ...]
    mean: dict[str, Estimate]
    per_image: tuple[ImageScore, ...]
    calibration: Calibration | None = None
    confusion: tuple[tuple[int, ...], ...] = field(default=())
    objects: ObjectScores | None = None
    edges: EdgeScores | None = None
    scope: str | None = None

    @property
    def headline_metric(self) -> Metric:
        """The metric that models are compared by."""
        return next(metric for metric in self.metrics if metric.key == self.headline)

    @property
    def headline_words(self) -> str:
        """The headline metric within a sentence: `mean IoU` over classes, `RMSE` without classes."""
        return f"mean {self.headline_metric.label}" if len(self.classes) > 1 else self.headline_metric.label

    @property
    def image_errors(self) -> dict[str, float]:
        """Error of each image by id, the lower the better: 1 - its score for a share; without undefined ones."""
        metric = self.image_headline
        top, sign = (1.0 if metric.unit == "share" else 0.0, -1.0) if metric.higher_is_better else (0.0, 1.0)
        known = ((entry.id, entry.values[metric.key]) for entry in self.per_image)
        return {name: top + sign * value for name, value in known if value is not None}

    @property
    def image_headline(self) -> Metric:
        """The metric that images are ranked by: the one of the same name, or else the first."""
        return next((metric for metric in self.image_metrics if metric.key == self.headline), self.image_metrics[0])

    @property
    def score(self) -> Estimate:
        """The estimate of the headline metric."""
        return self.mean[self.headline]

    def to_json(self) -> dict[str, Any]:
        """Return plain types only, fit for `json.dumps` with `allow_nan=False`.

        The values of a class and of an image stand beside its name: `classes[0]["iou"]["value"]`. `without` holds
        what the means, and the headline metric of each class, are without each image or group.
        """
        lean = replace(
            self,
            mean=without_rows(self.mean),
            classes=tuple(replace(entry, values=without_rows(entry.values)) for entry in self.classes),
        )
        plain = asdict(lean)
        for estimate in (*plain["mean"].values(), *(v for entry in plain["classes"] for v in entry["values"].values())):
            del estimate["without"]
        plain["without"] = {
            "mean": rows_to_json(self.mean),
            "classes": rows_to_json({entry.name: entry.values[self.headline] for entry in self.classes}),
        }
        plain["confusion"] = [list(row) for row in self.confusion]
        for key in ("classes", "per_image"):
            for entry in plain[key]:
                entry.update(entry.pop("values"))
        return plain

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> Scores:
        """Read back what `to_json` gave, also after a trip through JSON text."""
        left_out = plain.get("without", {"mean": {}, "classes": {}})
        return cls(
            task=plain["task"],
            metrics=tuple(Metric(**entry) for entry in plain["metrics"]),
            image_metrics=tuple(Metric(**entry) for entry in plain["image_metrics"]),
            headline=plain["headline"],
            images=plain["images"],
            groups=plain["groups"],
            classes=tuple(_class_scores(entry, plain["headline"], left_out["classes"]) for entry in plain["classes"]),
            mean={key: read_estimate(value, left_out["mean"].get(key)) for key, value in plain["mean"].items()},
            per_image=tuple(_image_score(entry) for entry in plain["per_image"]),
            calibration=None if plain["calibration"] is None else _calibration(plain["calibration"]),
            confusion=tuple(tuple(row) for row in plain["confusion"]),
            objects=None if plain["objects"] is None else _objects(plain["objects"]),
            edges=None if plain.get("edges") is None else _edges(plain["edges"]),
            scope=plain["scope"],
        )


def _class_scores(plain: dict[str, Any], headline: str, without: dict[str, Any]) -> ClassScores:
    own = {key: plain[key] for key in ("name", "pixels", "images")}
    values = {
        key: read_estimate(value, without.get(plain["name"]) if key == headline else None)
        for key, value in plain.items()
        if key not in own
    }
    return ClassScores(**own, values=values)


def _image_score(plain: dict[str, Any]) -> ImageScore:
    return ImageScore(
        plain["id"], plain["group"], {key: value for key, value in plain.items() if key not in {"id", "group"}}
    )


def _calibration(plain: dict[str, Any]) -> Calibration:
    bins = {key: tuple(Bin(**entry) for entry in plain[key]) for key in ("bins", "bins_scaled")}
    return Calibration(plain["ece"], plain["ece_scaled"], plain["temperature"], **bins)


def _objects(plain: dict[str, Any]) -> ObjectScores:
    counts = tuple((true, predicted) for true, predicted in plain["counts"])
    curves = tuple(PrecisionCurve(entry["iou"], tuple(entry["precision"])) for entry in plain.get("curves", ()))
    return ObjectScores(counts, tuple(SizeBin(**entry) for entry in plain["sizes"]), curves)


def _edges(plain: dict[str, Any]) -> EdgeScores:
    return EdgeScores(plain["threshold"], *(tuple(plain[key]) for key in ("thresholds", "precision", "recall")))
