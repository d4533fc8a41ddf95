"""The table of what is computed of label maps."""

from __future__ import annotations

import pytest

from maskwright.metrics import confusion
from maskwright.metrics.label_metrics import BY_CLASS, IMAGE_METRICS, LABEL_METRICS, OF_ALL, PER_IMAGE

TABLES = (LABEL_METRICS, IMAGE_METRICS)


@pytest.mark.parametrize("table", TABLES)
def test_every_metric_has_a_name_and_one_sentence_of_its_own(table) -> None:
    for entries in ([entry.key for entry in table], [entry.label for entry in table]):
        assert len(set(entries)) == len(table)
        assert all(entries)
    for entry in table:
        assert entry.description.endswith(".")
        assert ". " not in entry.description
    assert len({entry.description for entry in table}) == len(table)


def test_metrics_of_classes_of_images_and_of_all_make_up_the_table() -> None:
    assert (*BY_CLASS, *OF_ALL, *PER_IMAGE) == tuple(metric.key for metric in LABEL_METRICS)
    assert list(BY_CLASS)[: len(confusion.RATES)] == list(confusion.RATES)


def test_only_a_distance_is_better_when_it_is_lower() -> None:
    assert [metric.key for metric in LABEL_METRICS if not metric.higher_is_better] == ["hd95"]
    assert [metric.key for metric in LABEL_METRICS if metric.unit == "px"] == ["hd95"]
    assert {metric.unit for metric in (*LABEL_METRICS, *IMAGE_METRICS)} == {"share", "px"}


def test_the_headline_is_always_shown() -> None:
    assert (LABEL_METRICS[0].key, LABEL_METRICS[0].rank) == ("iou", 0)


def test_what_is_better() -> None:
    by_key = {metric.key: metric for metric in LABEL_METRICS}
    up, down = by_key["iou"], by_key["hd95"]
    assert up.improves(0.1, None)
    assert down.improves(9.0, None)
    assert [up.improves(value, 0.5) for value in (0.4, 0.5, 0.6)] == [False, False, True]
    assert [down.improves(value, 5.0) for value in (4.0, 5.0, 6.0)] == [True, False, False]
