"""The thresholds that separate objects are found again where the maps are off in a known way."""

from __future__ import annotations

import time
import tracemalloc

import numpy as np
import pytest
import torch
from tests.tasks.blocks import blocks
from tests.tasks.test_instance_decode import TOUCHING, ideal

from maskwright.core.classes import Classes
from maskwright.core.instances import Instance, Instances
from maskwright.core.targets import Target
from maskwright.metrics.object_overlap import compare
from maskwright.ops.instance_maps import from_map
from maskwright.tasks import find_task
from maskwright.tasks.base import Adjustments, Seen
from maskwright.tasks.formulations import FORMULATIONS
from maskwright.tasks.instance_fit import F1, PQ, fit_thresholds

SIZE = (40, 60)
TRUTH = Target((TOUCHING > 0).astype(np.uint8), None, from_map(TOUCHING, [1] * 4))


def fit(images, deadline):
    return fit_thresholds(images, (0,), FORMULATIONS["depth"], deadline)


def seen(maps: torch.Tensor, target: Target = TRUTH, count: int = 3):
    return (Seen(f"{number}.png", blocks(maps, 11), target) for number in range(count))


def test_a_depth_that_is_too_low_lowers_the_seeds():
    maps = ideal(TOUCHING)
    maps[-2] *= 0.45  # no pixel reaches the default of 0.5, so touching objects would be one
    fitted = fit(seen(maps), None)
    assert fitted.decoding["seed"] <= 0.4
    assert "1.000 with these" in fitted.notes[0]


def test_a_foreground_that_is_too_wide_raises_the_threshold():
    maps = ideal(TOUCHING)
    wide = torch.nn.functional.max_pool2d((torch.from_numpy(TOUCHING) > 0).float()[None, None], 7, 1, 3)[0, 0]
    maps[1] = torch.where(maps[1] > 0.5, maps[1], 0.58 * wide)
    maps[0] = 1 - maps[1]
    assert fit(seen(maps), None).decoding["foreground"] in {0.6, 0.7}


def test_specks_raise_the_smallest_area():
    maps = ideal(TOUCHING)
    maps[:2, 35:38, 4:7] = torch.tensor([0.1, 0.9])[:, None, None]
    assert fit(seen(maps), None).decoding["least"] > 9


def test_good_defaults_stay():
    assert fit(seen(ideal(TOUCHING)), None).decoding == pytest.approx(
        {"foreground": 0.5, "seed": 0.5, "smooth": 1.0, "least": 4.0}
    )


def test_goals_by_hand():
    """One of two found objects holds 60 of the 100 pixels of the true one: it counts up to an IoU of 0.6, of nine."""
    whole, part, extra = (np.ones(shape, bool) for shape in ((10, 10), (10, 6), (3, 3)))
    found = Instances(SIZE, (Instance(1, 0, 0, part), Instance(1, 20, 20, extra)))
    compared = [compare(Instances(SIZE, (Instance(1, 0, 0, whole),)), found, by_class=False)]
    assert F1.of(compared) == pytest.approx(2 / 3 * 3 / 9)
    assert PQ.of(compared) == pytest.approx(0.6 / 1.5)
    nothing = [compare(Instances(SIZE), Instances(SIZE), by_class=False)]
    assert (F1.of(nothing), PQ.of(nothing)) == (0, 0)


def test_a_panoptic_task_fits_its_objects_by_panoptic_quality():
    classes = Classes.named(["background", "cell"])
    notes = find_task("panoptic").fit(seen(ideal(TOUCHING)), 3, classes, None).notes
    assert "(PQ of objects: 1.000 with the default thresholds" in notes[0]


def test_without_objects_or_time_nothing_is_fitted():
    empty = Target(np.zeros(SIZE, np.uint8), None, Instances(SIZE))
    assert fit(seen(ideal(np.zeros(SIZE, np.int32)), empty), None) == Adjustments()
    maps = ideal(TOUCHING)
    maps[-2] *= 0.45
    assert fit(seen(maps), time.monotonic() - 1) == Adjustments()


def test_a_fit_that_time_cuts_short_says_so(monkeypatch):
    clock = iter(range(1000))
    monkeypatch.setattr("maskwright.tasks.instance_fit.time.monotonic", lambda: next(clock))
    for deadline, cut in ((5, True), (999, False)):
        clock = iter(range(1000))
        (note,) = fit(seen(ideal(TOUCHING)), deadline).notes
        assert note.endswith("time ran out before all were tried, so another run may choose others") == cut


def test_what_is_found_in_ignored_pixels_counts_neither_way():
    labels = (TOUCHING > 0).astype(np.uint8)
    labels[:, 38:] = 255
    left = from_map(np.where(TOUCHING == 4, 0, TOUCHING), [1] * 4)
    target = Target(labels, None, Instances(SIZE, tuple(entry for entry in left.objects if entry.left < 30)))
    assert fit(seen(ideal(TOUCHING), target), None).decoding["least"] == 4


def test_of_a_large_image_a_part_is_used(monkeypatch):
    monkeypatch.setattr("maskwright.tasks.instance_fit.MOST_PIXELS", 20 * SIZE[1])
    maps = ideal(TOUCHING)
    maps[:, 20:] = torch.nan
    assert "on 1 validation image:" in fit(seen(maps), None).notes[0]


def test_what_is_not_used_of_a_large_image_takes_no_memory(monkeypatch):
    monkeypatch.setattr("maskwright.tasks.instance_fit.MOST_PIXELS", 20 * SIZE[1])
    rows = 20_000
    maps = torch.nn.functional.pad(ideal(TOUCHING), (0, 0, 0, rows - SIZE[0]))
    target = Target(np.zeros((rows, SIZE[1]), np.uint8), None, Instances((rows, SIZE[1]), TRUTH.instances.objects))
    fit(seen(maps, target), None)  # with the imports
    tracemalloc.start()
    fit(seen(maps, target), None)
    assert tracemalloc.get_traced_memory()[1] < rows * SIZE[1]  # bytes: a sixth of the maps in float16
    tracemalloc.stop()
