import threading
import time

import cv2
import numpy as np
import pytest

from maskwright.core.classes import IGNORE, Classes
from maskwright.core.errors import MaskwrightError
from maskwright.core.plan import DataPlan, Plan, SamplingPlan
from maskwright.core.records import Dataset, ImageRef, MaskFile, Record
from maskwright.data.cache import DecodedCache
from maskwright.data.loader import DEPTH, Batches, ProcessShare, TrainingCrops
from maskwright.tasks import find_task

SEMANTIC = find_task("semantic")
BATCH = 6
PLAN = Plan(seed=3, sampling=SamplingPlan(crop=(16, 24), batch=BATCH, rare_share=0.5))


def encode(target):
    return SEMANTIC.encode(target, Classes.named(["a", "b", "c"]))


def workers():
    return [thread for thread in threading.enumerate() if thread.name.startswith("maskwright-batches")]


@pytest.fixture(autouse=True)
def _no_thread_is_left():
    yield
    assert workers() == []


@pytest.fixture
def cache(tmp_path):
    rng = np.random.default_rng(0)
    records = []
    for number in range(5):
        image, mask = tmp_path / f"{number}.png", tmp_path / f"{number}_mask.png"
        cv2.imwrite(str(image), rng.integers(0, 256, (31, 27 + number, 3), np.uint8))
        cv2.imwrite(str(mask), rng.integers(0, 3, (31, 27 + number), np.uint8))
        records.append(Record(image.name, ImageRef(image), MaskFile(ImageRef(mask), "index"), "train"))
    table = {0: 0, 1: 1, 2: 2}
    dataset = Dataset(tmp_path, "folder", "test", Classes.named(["a", "b", "c"]), tuple(records), table)
    return DecodedCache(dataset, dataset.records, DataPlan(), 10**9, SEMANTIC.target)


@pytest.fixture
def samples(cache):
    # Class 3 is said to be there but is not: too small for the working resolution.
    return TrainingCrops(cache, [frozenset({0, 1, 2, 3})] * 5, PLAN, encode)


class Counting:
    """A source that tells step and slot in its pixels, and misbehaves on demand."""

    batch = 4

    def __init__(self, fail_at=None, delay=0.0):
        self.fail_at, self.delay, self.made = fail_at, delay, []

    def crop(self, step, slot):
        time.sleep(self.delay)
        self.made.append((step, slot))
        if step == self.fail_at:
            raise MaskwrightError("images/7.png is broken")
        return np.full((2, 2, 3), step, np.uint8), {
            "classes": np.full((2, 2), slot, np.uint8),
            "depth": np.full((1, 2, 2), -slot, np.float32),
        }


def collected(source, start, end, **options):
    with Batches(source, start, end, **options) as batches:
        return list(batches)


def same(left, right):
    assert [batch.step for batch in left] == [batch.step for batch in right]
    for one, other in zip(left, right, strict=True):
        assert np.array_equal(one.images, other.images)
        assert np.array_equal(one.targets["classes"], other.targets["classes"])


def test_batches_come_in_order_with_all_their_slots():
    batches = collected(Counting(), 5, 17, threads=3)
    assert [batch.step for batch in batches] == list(range(5, 17))
    for batch in batches:
        assert batch.images.shape == (4, 2, 2, 3)
        assert set(np.unique(batch.images)) == {batch.step}
        assert batch.targets["classes"][:, 0, 0].tolist() == [0, 1, 2, 3]
        assert batch.targets["depth"].shape == (4, 1, 2, 2)
        assert batch.targets["depth"][:, 0, 0, 0].tolist() == [0, -1, -2, -3]


def test_the_number_of_threads_changes_nothing(samples):
    same(collected(samples, 0, 6, threads=1), collected(samples, 0, 6, threads=4))


def test_a_resume_continues_exactly(samples, cache):
    whole = collected(samples, 0, 6)
    fresh = TrainingCrops(cache, [frozenset({0, 1, 2, 3})] * 5, PLAN, encode)
    same(whole[4:], collected(fresh, 4, 6))


@pytest.mark.parametrize("world_size", [2, 3, 4])
def test_processes_share_one_batch(samples, world_size):
    whole = collected(samples, 0, 3)
    parts = [collected(samples, 0, 3, share=ProcessShare(rank, world_size)) for rank in range(world_size)]
    for step, batch in enumerate(whole):
        assert np.array_equal(np.concatenate([part[step].images for part in parts]), batch.images)
        assert np.array_equal(
            np.concatenate([part[step].targets["classes"] for part in parts]), batch.targets["classes"]
        )


def test_samples_may_be_asked_for_in_any_order(samples):
    places = [(step, slot) for step in range(3) for slot in range(BATCH)]
    forward = {place: samples.crop(*place) for place in places}
    for place in reversed(places):
        image, targets = samples.crop(*place)
        assert np.array_equal(image, forward[place][0])
        assert np.array_equal(targets["classes"], forward[place][1]["classes"])


def test_slots_are_contiguous_and_even():
    assert [list(ProcessShare(rank, 3).slots(7)) for rank in range(3)] == [[0, 1], [2, 3], [4, 5, 6]]
    with pytest.raises(MaskwrightError, match=r"sampling\.batch is 2.*3 processes"):
        ProcessShare(0, 3).slots(2)


def test_an_error_comes_at_its_batch_and_names_the_file():
    with Batches(Counting(fail_at=2), 0, 9) as batches:
        assert [next(batches).step, next(batches).step] == [0, 1]
        with pytest.raises(MaskwrightError, match=r"images/7\.png is broken"):
            next(batches)


def test_a_fault_in_the_files_names_image_and_crop(samples, cache):
    for record in cache.records:
        record.image.path.write_bytes(b"no picture")
    with Batches(samples, 0, 9) as batches, pytest.raises(MaskwrightError, match=r"\d\.png") as caught:
        list(batches)
    assert any("while making crop" in note and ".png" in note for note in caught.value.__notes__)


def test_no_more_is_made_ahead_than_the_depth():
    source = Counting()
    with Batches(source, 0, 1000) as batches:
        next(batches)
        time.sleep(0.2)
        assert max(step for step, _ in source.made) <= DEPTH


def test_leaving_early_stops_at_once():
    source = Counting(delay=0.02)
    with Batches(source, 0, 1000, threads=2) as batches:
        next(batches)
    made = len(source.made)
    time.sleep(0.1)
    assert len(source.made) == made
    with pytest.raises(StopIteration):
        next(batches)


def test_an_error_in_the_consumer_leaves_no_thread():
    with pytest.raises(KeyError), Batches(Counting(), 0, 100, threads=2) as batches:  # noqa: PT012
        next(batches)
        raise KeyError


def test_no_steps_no_batches():
    assert collected(Counting(), 3, 3) == []


def test_a_finished_iteration_has_no_threads_even_without_a_with_block():
    assert len(list(Batches(Counting(), 0, 3))) == 3
    assert workers() == []


def test_opencv_has_one_thread_meanwhile_and_its_own_again_afterwards():
    cv2.setNumThreads(2)
    with Batches(Counting(), 0, 1) as batches:
        assert cv2.getNumThreads() == 1
        cv2.setNumThreads(1)
    assert cv2.getNumThreads() == 2
    cv2.setNumThreads(3)
    batches.close()
    assert cv2.getNumThreads() == 3
    cv2.setNumThreads(1)


def test_a_file_that_broke_costs_its_crops_and_is_named_once(samples, cache):
    whole = collected(samples, 0, 12)
    cache.records[2].image.path.write_bytes(b"no picture")
    for threads in (1, 3):
        empty = DecodedCache(cache._dataset, cache.records, PLAN.data, 0, SEMANTIC.target)
        broken = TrainingCrops(empty, [frozenset({0, 1, 2, 3})] * 5, PLAN, encode)
        batches = collected(broken, 0, 12, threads=threads)
        lost = [
            (batch.step, slot)
            for batch in batches
            for slot in range(BATCH)
            if (batch.targets["classes"][slot] == IGNORE).all()
        ]
        assert lost == [
            (step, slot) for step in range(12) for slot in range(BATCH) if samples._sampler.draw(step, slot).record == 2
        ]
        assert lost
        for one, other in zip(batches, whole, strict=True):
            kept = [slot for slot in range(BATCH) if (one.step, slot) not in lost]
            assert np.array_equal(one.images[kept], other.images[kept])
        (fault,) = broken.faults
        assert str(cache.records[2].image) in fault
