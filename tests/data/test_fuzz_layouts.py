"""Whatever the layout, coding and faults: pixels by class are right, or the data is refused, or a fault says so."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from tests.data.fuzz_layouts import HARMLESS, Sample, Spec, Truth, build, specs
from tests.data.fuzz_shapes import WITH_A_BOX, ShapeSpec, shape_specs
from tests.data.fuzz_shapes import build as build_shapes

from maskwright.core.errors import MaskwrightError
from maskwright.data.formats import read_dataset
from maskwright.data.survey import Survey, survey


@settings(max_examples=120)
@given(specs())
def test_pixels_by_class_are_right_or_refused(spec: Spec) -> None:
    with tempfile.TemporaryDirectory() as folder:
        truth = build(spec, Path(folder))
        try:
            seen = survey(read_dataset(Path(folder)))
        except MaskwrightError as error:
            if set(spec.faults) <= HARMLESS:
                pytest.fail(f"refused without need: {error}")
            return
        _judge(seen, truth, sound=set(spec.faults) <= HARMLESS)


def _judge(seen: Survey, truth: Truth, *, sound: bool) -> None:
    names = seen.dataset.classes.names
    read = {record.image.path: seen.summaries[record.id] for record in seen.dataset.records}
    said = " ".join(f"{fault.path} {fault.message}" for fault in seen.dataset.faults if fault.severity != "note")
    assert set(read) <= set(truth.samples), "something else was taken for an image"
    for image, sample in truth.samples.items():
        if image not in read:
            assert image in truth.lost or said, f"{image.name} was lost without a word"
            assert not sound, f"{image.name} was not read: {said}"
            continue
        assert image not in truth.lost, f"{image.name} cannot have been read"
        pixels = read[image].pixels.tolist()
        counts = {name: count for name, count in zip(names, pixels, strict=False) if count}
        found = Sample(counts, pixels[-1])
        wanted = Sample({name: count for name, count in sample.pixels.items() if count}, sample.ignored)
        if found != wanted:
            assert image in truth.doubtful, f"{image.name}: {found} instead of {wanted}"
            assert said, f"{image.name} was read in another way without a word"
    if truth.lost:
        assert said


@settings(max_examples=80)
@given(shape_specs())
def test_pixels_of_outlines_are_right_or_refused(spec: ShapeSpec) -> None:
    with tempfile.TemporaryDirectory() as folder:
        truth = build_shapes(spec, Path(folder))
        try:
            seen = survey(read_dataset(Path(folder)))
        except MaskwrightError as error:
            if not spec.damaged:
                pytest.fail(f"refused without need: {error}")
            return
        _judge(seen, truth, sound=not spec.damaged)
        for record in seen.dataset.records if spec.format in WITH_A_BOX else ():
            background = dict(zip(seen.dataset.classes.names, seen.summaries[record.id].pixels, strict=False))
            assert background["background"] <= truth.samples[record.image.path].pixels["background"]
