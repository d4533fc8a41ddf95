import threading

import cv2
import numpy as np
import pytest

from maskwright.core.classes import IGNORE, Classes
from maskwright.core.errors import MaskwrightError
from maskwright.core.plan import DataPlan
from maskwright.core.records import Dataset, ImageRef, MaskFile, Record
from maskwright.core.seeds import generator
from maskwright.core.targets import Target
from maskwright.data.cache import POINTS, DecodedCache, class_points
from maskwright.tasks import find_task

SEMANTIC = find_task("semantic")
SIZE = (20, 30)
BYTES = 20 * 30 * 4


@pytest.fixture
def dataset(tmp_path):
    rng = np.random.default_rng(0)
    records = []
    for number in range(4):
        image, mask = tmp_path / f"{number}.png", tmp_path / f"{number}_mask.png"
        cv2.imwrite(str(image), rng.integers(0, 256, (*SIZE, 3), np.uint8))
        labels = np.full(SIZE, number % 2, np.uint8)
        labels[3, 4:7] = 2
        labels[0] = 9
        cv2.imwrite(str(mask), labels)
        records.append(Record(image.name, ImageRef(image), MaskFile(ImageRef(mask), "index"), "train"))
    table = {0: 0, 1: 1, 2: 2, 9: IGNORE}
    return Dataset(tmp_path, "folder", "test", Classes.named(["a", "b", "c"]), tuple(records), table)


@pytest.fixture
def decoded(monkeypatch):
    """Count how often each record is decoded."""
    calls = []
    read = type(SEMANTIC).target

    def counting(task, dataset, record, size):
        calls.append(record.id)
        return read(task, dataset, record, size)

    monkeypatch.setattr(type(SEMANTIC), "target", counting)
    return calls


def decoding(dataset, max_bytes, data=None):
    return DecodedCache(dataset, dataset.records, data or DataPlan(), max_bytes, SEMANTIC.target)


def test_a_record_comes_as_its_files_say(dataset):
    image, target = decoding(dataset, 10**9).get(1)
    labels = target.labels
    assert target.values is None
    assert np.array_equal(image, cv2.imread(str(dataset.records[1].image.path))[:, :, ::-1])
    assert labels[0].tolist() == [IGNORE] * 30
    assert labels[3, 4:7].tolist() == [2, 2, 2]
    assert labels[5, 5] == 1


def test_working_resolution(dataset):
    image, target = decoding(dataset, 10**9, DataPlan(scale=0.5)).get(0)
    labels = target.labels
    assert image.shape == (10, 15, 3)
    # Three pixels of class 2 in a row, each a quarter or half of a new pixel: the thin rule keeps the half.
    assert labels.shape == (10, 15)
    assert labels[1].tolist() == [0, 0, 2] + [0] * 12


def test_each_record_is_decoded_once(dataset, decoded):
    cache = decoding(dataset, 10**9)
    for number in [0, 1, 0, 1, 3, 3]:
        cache.get(number)
    assert sorted(decoded) == ["0.png", "1.png", "3.png"]
    assert cache.kept == 3
    assert len(cache) == 4


def test_memory_is_capped_and_the_rest_decoded_each_time(dataset, decoded):
    cache = decoding(dataset, 2 * BYTES + 1)
    for _ in range(2):
        for number in range(4):
            cache.get(number)
    assert cache.kept == 2
    assert decoded == ["0.png", "1.png", "2.png", "3.png", "2.png", "3.png"]


def test_without_room_the_same_comes_back(dataset):
    roomy = decoding(dataset, 10**9)
    tight = decoding(dataset, 0)
    assert tight.kept == 0
    for number in range(4):
        (image, target), (other, again) = roomy.get(number), tight.get(number)
        assert np.array_equal(image, other)
        assert np.array_equal(target.labels, again.labels)
        assert np.array_equal(roomy.points(number, 0), tight.points(number, 0))


def test_what_is_kept_cannot_be_written_to(dataset):
    image, target = decoding(dataset, 10**9).get(0)
    for array in (image, target.labels):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_points_show_their_class_and_survive_without_room(dataset, decoded):
    cache = decoding(dataset, 0)
    points = cache.points(1, 1)
    assert points.shape == (POINTS, 2)
    assert all(cache.get(1)[1].labels[row, column] == 1 for row, column in points)
    assert sorted(map(tuple, cache.points(1, 2).tolist())) == [(3, 4), (3, 5), (3, 6)]
    assert cache.points(1, 0).shape == (0, 2)
    # Once for the points, once for each pixel looked up above.
    assert len(decoded) == 1 + POINTS


def test_points_are_spread_over_the_class_and_repeatable():
    labels = np.zeros((100, 100), np.uint8)
    labels[:, 50:] = IGNORE
    points = class_points(labels, "a")
    assert set(points) == {0}
    assert abs(points[0].mean(axis=0) - (49.5, 24.5)).max() < 12
    assert np.array_equal(points[0], class_points(labels, "a")[0])
    assert not np.array_equal(points[0], class_points(labels, "b")[0])


def test_many_threads_see_the_same(dataset):
    cache = decoding(dataset, 2 * BYTES)
    sums, errors = [], []

    def work():
        try:
            sums.append([int(cache.get(number % 4)[0].sum()) for number in range(40)])
        except Exception as error:  # noqa: BLE001
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert all(row == sums[0] for row in sums)
    assert cache.kept == 2


def test_a_broken_file_is_named(dataset):
    dataset.records[2].image.path.write_bytes(b"nothing")
    with pytest.raises(MaskwrightError, match=r"2\.png"):
        decoding(dataset, 10**9).get(2)


def test_points_are_evenly_drawn_and_none_is_missed_where_there_are_few():
    labels = np.random.default_rng(0).integers(0, 3, (40, 50)).astype(np.uint8)
    labels[7, 11:14] = 9
    points = class_points(labels, "a")
    assert points[9].tolist() == [[7, 11], [7, 12], [7, 13]]
    for index, places in points.items():
        assert (labels[places[:, 0], places[:, 1]] == index).all()
    wanted = generator(0, "points", "a").integers(0, (labels == 0).sum(), POINTS)
    assert points[0].tolist() == np.argwhere(labels == 0)[wanted].tolist()


def test_measured_values_follow_the_image_and_count_as_memory(dataset):
    """A task with values: they are shrunk with the labels, kept read-only, and take room."""

    def read(_dataset, record, size):
        rows, columns = np.indices(size, np.float32)
        return Target(np.full(size, int(record.id[0]), np.uint8), np.stack([rows, columns]))

    each = 20 * 30 * (3 + 1 + 2 * 4)
    cache = DecodedCache(dataset, dataset.records, DataPlan(), 2 * each + each - 1, read)
    for number in range(4):
        image, target = cache.get(number)
        assert (target.size, target.values.shape, image.shape) == (SIZE, (2, *SIZE), (*SIZE, 3))
        assert (target.labels == number).all()
    assert cache.kept == 2
    with pytest.raises(ValueError, match="read-only"):
        cache.get(0)[1].values[0, 0, 0] = 1
    half = DecodedCache(dataset, dataset.records, DataPlan(scale=0.5), 0, read).get(1)[1]
    assert half.values.shape == (2, 10, 15)
    assert half.values.dtype == np.float32
    assert (half.values[0] // 2 == np.arange(10)[:, None]).all()
    assert (half.values[1] // 2 == np.arange(15)).all()
