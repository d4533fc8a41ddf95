"""Tiny data sets on disk, and surveys without any file, for the tests of survey, split and fingerprint."""

from __future__ import annotations

import cv2
import numpy as np

from maskwright.core.classes import Classes
from maskwright.core.records import Dataset, ImageRef, MaskFile, Record
from maskwright.data.fingerprint import fingerprint
from maskwright.data.flip_symmetry import FlipMeter
from maskwright.data.similarity import thumbnail
from maskwright.data.survey import RecordSummary, Survey, survey


def picture(seed, height=64, width=80):
    """Return a smooth random RGB image that is like no other seed's."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(0, 255, (8, 10, 3)).astype(np.float32)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).clip(0, 255).astype(np.uint8)


def measure(dataset, seconds=None, on_progress=None):
    """Return the fingerprint of a data set with the splits that it has."""
    return fingerprint(survey(dataset, seconds, on_progress))


def write_dataset(root, pairs, names=("background", "thing"), kind="index", table=None, splits=None):
    """Write (image, mask) arrays as numbered PNG files and return the data set."""
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    records = []
    for place, (image, mask) in enumerate(pairs):
        name = f"{chr(97 + place % 26)}{place // 26}x.png"
        paths = [root / folder / name for folder in ("images", "masks")]
        for path, pixels in zip(paths, (image, mask), strict=True):
            turned = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR) if pixels.ndim == 3 and pixels.shape[2] == 3 else pixels
            assert cv2.imwrite(str(path), turned)
        split = None if splits is None else splits[place]
        records.append(Record(f"images/{name}", ImageRef(paths[0]), MaskFile(ImageRef(paths[1]), kind), split))
    table = {index: index for index in range(len(names))} if table is None else table
    records.sort(key=lambda record: record.id)
    return Dataset(root, "folder", "images/ + masks/", Classes.named(names), tuple(records), table)


def imagined(root, names, classes, looks=None, splits=None, groups=None):
    """Return a data set of records that have no files, and its survey.

    Args:
        root: a path, never touched.
        names: of the records.
        classes: for each record, the classes it shows.
        looks: for each record, its image; None for unrelated ones.
        splits, groups: for each record.
    """
    count = 1 + max((index for shown in classes for index in shown), default=0)
    records, summaries = [], {}
    for place, name in enumerate(names):
        split = None if splits is None else splits[place]
        group = None if groups is None else groups[place]
        records.append(
            Record(name, ImageRef(root / name), MaskFile(ImageRef(root / f"{name}.mask"), "index"), split, group)
        )
        pixels = np.zeros(count + 1, np.int64)
        pixels[list(classes[place])] = 10
        image = picture(f"{place}".encode()[0] * 1000 + place) if looks is None else looks[place]
        summaries[name] = RecordSummary(
            64, 80, 3, "uint8", pixels, thumbnail(image), 0.001, np.zeros_like(pixels[:-1]), 0.0
        )
    dataset = Dataset(
        root, "folder", "made up", Classes.named([f"class {index}" for index in range(count)]), tuple(records)
    )
    return dataset, Survey(dataset, summaries, {}, (), FlipMeter(), 0, len(records))
