import threading

import cv2
import numpy as np
import pytest

from maskwright.core.classes import IGNORE, Classes
from maskwright.core.errors import MaskwrightError
from maskwright.core.plan import DataPlan
from maskwright.core.records import Dataset, ImageRef, MaskFile, Record
from maskwright.core.seeds import generator
from maskwright.data import cache as cache_module
from maskwright.data.cache import POINTS, DecodedCache, class_points

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
    read = cache_module.read_pair

    def counting(dataset, record):
        calls.append(record.id)
        return read(dataset, record)

    monkeypatch.setattr(cache_module, "read_pair", counting)
    return calls


def test_a_record_comes_as_its_files_say(dataset):
    image, labels = DecodedCache(dataset, dataset.records, DataPlan(), 10**9).get(1)
    assert np.array_equal(image, cv2.imread(str(dataset.records[1].image.path))[:, :, ::-1])
    assert labels[0].tolist() == [IGNORE] * 30
    assert labels[3, 4:7].tolist() == [2, 2, 2]
    assert labels[5, 5] == 1


def test_working_resolution(dataset):
    image, labels = DecodedCache(dataset, dataset.records, DataPlan(scale=0.5), 10**9).get(0)
    assert image.shape == (10, 15, 3)
    # Three pixels of class 2 in a row, each a quarter or half of a new pixel: the thin rule keeps the half.
    assert labels.shape == (10, 15)
    assert labels[1].tolist() == [0, 0, 2] + [0] * 12


def test_each_record_is_decoded_once(dataset, decoded):
    cache = DecodedCache(dataset, dataset.records, DataPlan(), 10**9)
    for number in [0, 1, 0, 1, 3, 3]:
        cache.get(number)
    assert sorted(decoded) == ["0.png", "1.png", "3.png"]
    assert cache.kept == 3
    assert len(cache) == 4


def test_memory_is_capped_and_the_rest_decoded_each_time(dataset, decoded):
    cache = DecodedCache(dataset, dataset.records, DataPlan(), 2 * BYTES + 1)
    for _ in range(2):
        for number in range(4):
            cache.get(number)
    assert cache.kept == 2
    assert decoded == ["0.png", "1.png", "2.png", "3.png", "2.png", "3.png"]


def test_without_room_the_same_comes_back(dataset):
    roomy = DecodedCache(dataset, dataset.records, DataPlan(), 10**9)
    tight = DecodedCache(dataset, dataset.records, DataPlan(), 0)
    assert tight.kept == 0
    for number in range(4):
        assert all(np.array_equal(*arrays) for arrays in zip(roomy.get(number), tight.get(number), strict=True))
        assert np.array_equal(roomy.points(number, 0), tight.points(number, 0))


def test_what_is_kept_cannot_be_written_to(dataset):
    for array in DecodedCache(dataset, dataset.records, DataPlan(), 10**9).get(0):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_points_show_their_class_and_survive_without_room(dataset, decoded):
    cache = DecodedCache(dataset, dataset.records, DataPlan(), 0)
    points = cache.points(1, 1)
    assert points.shape == (POINTS, 2)
    assert all(cache.get(1)[1][row, column] == 1 for row, column in points)
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
    cache = DecodedCache(dataset, dataset.records, DataPlan(), 2 * BYTES)
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
        DecodedCache(dataset, dataset.records, DataPlan(), 10**9).get(2)


def test_points_are_evenly_drawn_and_none_is_missed_where_there_are_few():
    labels = np.random.default_rng(0).integers(0, 3, (40, 50)).astype(np.uint8)
    labels[7, 11:14] = 9
    points = class_points(labels, "a")
    assert points[9].tolist() == [[7, 11], [7, 12], [7, 13]]
    for index, places in points.items():
        assert (labels[places[:, 0], places[:, 1]] == index).all()
    wanted = generator(0, "points", "a").integers(0, (labels == 0).sum(), POINTS)
    assert points[0].tolist() == np.argwhere(labels == 0)[wanted].tolist()
