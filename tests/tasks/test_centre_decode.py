"""From centres and offsets to objects: ideal maps give the objects back, in one piece and in bands of any height."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.tasks.blocks import blocks
from tests.tasks.test_instance_decode import TOUCHING, discs, same

from maskwright.core.targets import Target
from maskwright.ops.grouping import Grouping, nearest, peaks
from maskwright.ops.instance_maps import from_map, to_map
from maskwright.tasks.base import Seen
from maskwright.tasks.centre_decode import decode
from maskwright.tasks.centre_target import centre_values
from maskwright.tasks.formulations import FORMULATIONS
from maskwright.tasks.instance_fit import fit_thresholds


def ideal(ids: np.ndarray, classes: np.ndarray | None = None, count: int = 2) -> torch.Tensor:
    """Maps (count + 3, H, W) of a network that is always right; `classes` gives the class of each id."""
    labels = (ids > 0).astype(int) if classes is None else np.append(0, classes)[ids]
    probabilities = 0.05 + (1 - 0.05 * count) * (np.arange(count)[:, None, None] == labels)
    heat, offsets = centre_values(ids, np.zeros(ids.shape, bool))
    maps = np.concatenate([probabilities, heat[None], np.nan_to_num(offsets)])
    return torch.from_numpy(maps.astype(np.float32))


def crossing() -> np.ndarray:
    """A rod that lies on two others and parts both, and a ring around a disc."""
    ids = np.zeros((60, 90), np.int32)
    ids[10:16, 5:55], ids[40:46, 5:55] = 1, 2
    ids[3:55, 27:33] = 3
    rows, columns = np.indices(ids.shape)
    distance = np.hypot(rows - 30, columns - 72)
    ids[(distance < 16) & (distance > 11)] = 4
    ids[np.hypot(rows - 44, columns - 84) < 4] = 5
    return ids


@pytest.mark.parametrize("ids", [TOUCHING, crossing()], ids=["touching", "parted"])
def test_objects_come_back_whole(ids):
    found = decode(blocks(ideal(ids)), ids.shape, (0,), Grouping())
    same(to_map(found), ids, 1.0)
    assert all(entry.score == pytest.approx(0.95, abs=1e-4) for entry in found.objects)


def test_the_class_is_the_likeliest_of_the_object():
    maps = ideal(TOUCHING, np.array([1, 2, 2, 1]), 3)
    maps[:3, TOUCHING == 4] = torch.tensor([0.1, 0.42, 0.48])[:, None]
    found = decode(blocks(maps), (40, 60), (0,), Grouping())
    by_place = {int(TOUCHING[entry.rows, entry.columns][entry.mask][0]): entry for entry in found.objects}
    assert {number: entry.index for number, entry in by_place.items()} == {1: 1, 2: 2, 3: 2, 4: 2}
    assert by_place[4].score == pytest.approx(0.48, abs=1e-4)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 1000),
    st.integers(1, 45),
    st.integers(1, 33),
    st.sampled_from([0.0, 1.0, 2.0]),
    st.sampled_from([2.0, 9.0, 50.0]),
)
def test_bands_change_nothing(seed, rows, columns, smooth, reach):
    rng = np.random.default_rng(seed)
    ids = discs((45, 33), rng.uniform((0, 0), (45, 33), (rng.integers(1, 14), 2)), 5.0)
    maps = ideal(ids)
    maps += torch.from_numpy(rng.normal(size=maps.shape).astype(np.float32)) * torch.tensor(
        [0.1, 0.1, 0.1, 4, 4]
    ).reshape(-1, 1, 1)
    how = Grouping(smooth=smooth, reach=reach)
    whole = decode(blocks(maps), (45, 33), (0,), how)
    banded = decode(blocks(maps, rows, columns), (45, 33), (0,), how, band=1)

    def places(objects):
        return sorted((entry.top, entry.left, entry.mask.tobytes(), round(entry.score, 5)) for entry in objects.objects)

    assert len(whole) > 0
    assert places(whole) == places(banded)


def test_where_the_image_has_no_data_there_is_no_object():
    maps = ideal(TOUCHING)
    maps[:, :, :30] = torch.nan
    found = to_map(decode(blocks(maps), (40, 60), (0,), Grouping()))
    assert (found[:, :30] == 0).all()
    assert (found[:, 30:] > 0).any()


def test_a_pixel_that_reaches_no_centre_belongs_to_no_object():
    ids = np.zeros((9, 30), np.int32)
    ids[2:7, 2:7] = 1
    maps = ideal(ids)
    maps[:2, 4, 20:25] = torch.tensor([0.1, 0.9])[:, None]
    found = decode(blocks(maps), (9, 30), (0,), Grouping(reach=10))
    assert [entry.area for entry in found.objects] == [25]
    assert len(decode(blocks(maps), (9, 30), (0,), Grouping(peak=1.5))) == 0
    assert len(decode(blocks(maps), (9, 30), (0,), Grouping(least=26, reach=10))) == 0


def test_of_equal_peaks_the_first_counts():
    heat = np.zeros((9, 20), np.float32)
    heat[4, 2:5] = 0.8
    heat[4, 12], heat[4, 16] = 0.5, 0.9
    assert peaks(heat, Grouping(smooth=0)).tolist() == [[4, 2], [4, 12], [4, 16]]
    assert peaks(heat, Grouping(smooth=0, peak=0.6)).tolist() == [[4, 2], [4, 16]]


@given(st.integers(0, 10_000))
def test_the_nearest_centre_equals_a_plain_search(seed):
    rng = np.random.default_rng(seed)
    targets, centres = rng.uniform(0, 50, (20, 2)), rng.integers(0, 50, (rng.integers(1, 8), 2))
    distances, numbers = nearest(targets, centres)
    every = np.linalg.norm(targets[:, None] - centres, axis=2)
    np.testing.assert_allclose(distances, every.min(axis=1))
    np.testing.assert_allclose(every[np.arange(20), numbers], every.min(axis=1))


def test_the_threshold_of_centres_is_fitted():
    ids = crossing()
    maps = ideal(ids)
    maps[2] *= 0.25  # no centre reaches the default
    target = Target((ids > 0).astype(np.uint8), None, from_map(ids, [1] * 5))
    seen = (Seen(f"{number}.png", blocks(maps, 13), target) for number in range(2))
    fitted = fit_thresholds(seen, (0,), FORMULATIONS["centres"], None)
    assert fitted.decoding["peak"] <= 0.2
    assert "1.000 with these" in fitted.notes[0]
