"""From blocks of class probabilities to the class of every pixel."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.tasks.blocks import blocks

from maskwright.core.classes import IGNORE, Classes
from maskwright.tasks.label_map import LabelMap, decide


def test_the_likeliest_class_is_chosen_and_the_first_of_equals() -> None:
    maps = torch.tensor([[[0.2, 0.4, 0.1]], [[0.5, 0.4, 0.1]], [[0.3, 0.2, 0.8]]])
    labels, confidence = decide(maps)
    assert (labels.tolist(), labels.dtype) == ([[1, 0, 2]], np.uint8)
    assert confidence.dtype == np.float32
    np.testing.assert_allclose(confidence, [[0.5, 0.4, 0.8]])


def test_a_single_class_is_there_from_one_half_on() -> None:
    labels, confidence = decide(torch.tensor([[[0.0, 0.25, 0.5, 0.75]]]))
    assert (labels.tolist(), labels.dtype) == ([[IGNORE, IGNORE, 0, 0]], np.uint8)
    np.testing.assert_allclose(confidence, [[1.0, 0.75, 0.5, 0.75]])


@pytest.mark.parametrize("classes", [1, 2, 5])
def test_blocks_give_what_the_whole_gives(classes: int) -> None:
    maps = torch.rand(classes, 7, 9, generator=torch.Generator().manual_seed(classes))
    whole, parts = (LabelMap.of(blocks(maps, rows), (7, 9), confidence=True) for rows in (7, 3))
    np.testing.assert_array_equal(whole.labels, decide(maps)[0])
    np.testing.assert_array_equal(parts.labels, whole.labels)
    np.testing.assert_array_equal(parts.confidence, whole.confidence)
    assert parts.confidence.dtype == np.float16


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("classes", [2, 5, 30, 255])
def test_every_layout_gives_the_first_largest_value_and_no_class_where_one_is_unknown(
    classes: int, layout: torch.memory_format, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maskwright.tasks.label_map._CHUNK", 100)  # two rows at a time
    maps = torch.rand(1, classes, 30, 40, generator=torch.Generator().manual_seed(classes))
    maps = maps.contiguous(memory_format=layout)[0]
    maps[:, :3] = 0.25  # equals
    maps[:, 3, :5] = torch.nan
    maps[-1, 3, 5] = torch.nan
    expected = maps.numpy().argmax(axis=0)  # NumPy takes the first of equals too
    labels, confidence = decide(maps)
    assert (labels[3, :6] == IGNORE).all()
    assert np.isnan(confidence[3, :6]).all()
    known = np.isfinite(confidence)
    assert known.sum() == labels.size - 6
    np.testing.assert_array_equal(labels[known], expected[known])
    np.testing.assert_array_equal(confidence[known], maps.amax(0).numpy()[known])
    np.testing.assert_array_equal(decide(maps[:, 3:20, 4:30])[0], labels[3:20, 4:30])


def test_confidence_is_kept_only_where_it_is_asked_for() -> None:
    assert LabelMap.of(blocks(torch.rand(2, 4, 4)), (4, 4)).confidence is None


def test_pixels_by_name_of_the_classes_that_occur() -> None:
    labels = np.array([[0, 0, 2], [IGNORE, 2, 2]], np.uint8)
    assert LabelMap(labels).pixels(Classes.named(["road", "car", "sky"])) == {"road": 2, "sky": 3}
