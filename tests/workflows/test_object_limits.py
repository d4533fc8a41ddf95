"""Pixels and objects that a planned training cannot hold are told, whoever chose the network."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from tests.planning.facts_by_hand import fingerprint, flat

import maskwright as mw
from maskwright.cli.main import run
from maskwright.core.events import Note
from maskwright.core.fingerprint import ObjectStats
from maskwright.core.plan import DataPlan, ModelPlan, Plan, PredictPlan
from maskwright.workflows.plan_parts.object_limits import with_limits
from maskwright.workflows.request import PlanRequest
from maskwright.workflows.train import train

if TYPE_CHECKING:
    from pathlib import Path

OBJECTS = ObjectStats(12, 90, 0, flat(7), flat(20), 0.5, 0.2, 0, 0.1, 0.4)
SHARED = "where objects overlap, training gives the pixels to the smaller one, and the others lose 400 pixels"


@pytest.fixture(scope="module")
def crossing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four images of two squares each, which share 10 x 10 pixels."""
    root = tmp_path_factory.mktemp("crossing")
    names = [f"{number}.png" for number in range(4)]
    for name in names:
        assert cv2.imwrite(str(root / name), np.zeros((64, 64, 3), np.uint8))
    corners = [(10, 30), (20, 50)]
    outlines = [[first, first, last, first, last, last, first, last] for first, last in corners]
    objects = [
        {"id": 2 * image + place + 1, "image_id": image, "category_id": 1, "segmentation": [outline], "iscrowd": 0}
        for image in range(4)
        for place, outline in enumerate(outlines)
    ]
    images = [{"id": image, "file_name": name, "height": 64, "width": 64} for image, name in enumerate(names)]
    document = {"images": images, "annotations": objects, "categories": [{"id": 1, "name": "square"}]}
    (root / "instances.json").write_text(json.dumps(document))
    return root


@pytest.mark.parametrize(
    ("model", "settings", "key"),
    [
        (None, ["objects.formulation=depth"], "objects.formulation"),
        ("swiftnet", [], "objects.formulation"),
        ("maskrcnn", [], "model.name"),
    ],
)
def test_lost_pixels_are_told_whoever_chose(
    crossing: Path, tmp_path: Path, model: str | None, settings: list[str], key: str
) -> None:
    usual = ["model.backbone=compact", "model.pretrained=false", "sampling.crop=[64,64]", "sampling.batch=1"]
    wanted = PlanRequest(steps=1, settings=(*usual, *settings), task="instance", model=model, device="cpu")
    plan = mw.plan(crossing, wanted)
    assert plan.reasons[key].endswith(SHARED)
    events: list[Any] = []
    train(crossing, wanted, tmp_path / "run", on_event=events.append)
    assert [event.text for event in events if isinstance(event, Note) and "overlap" in event.text] == [SHARED]


def test_the_terminal_tells_them_beside_the_plan(crossing: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["plan", str(crossing), "--steps", "1", "--task", "instance", "--set", "model.pretrained=false"]
    assert run([*command, "--set", "objects.formulation=depth", "--json"]) == 0
    told = capsys.readouterr()
    assert "lose 400 pixels" in " ".join(told.err.split())
    assert json.loads(told.out)["reasons"]["objects.formulation"] == f"set by hand; {SHARED}"


@pytest.mark.parametrize(("name", "option", "limit"), [("mask2former", "queries", 300), ("maskrcnn", "most", 1000)])
def test_more_objects_than_a_network_finds_are_told(name: str, option: str, limit: int) -> None:
    plan = Plan(
        task="instance",
        model=ModelPlan(name=name, options={option: limit}),
        data=DataPlan(scale=0.5),
        predict=PredictPlan(tile=(128, 160)),
    )
    key = f"model.options.{option}"

    def notes(high: float, height: int = 240, planned: Plan = plan) -> tuple[str, ...]:
        objects = replace(OBJECTS, per_image=replace(flat(7), high=high))
        told, notes = with_limits(planned, fingerprint(height, objects=objects))
        assert notes == tuple(told.reasons[key] for _ in notes)
        return notes

    assert notes(limit) == ()
    assert notes(limit + 1)[0].startswith(
        f"an image holds up to {limit + 1:,} objects, and {name} finds at most {limit} there (`{key}`): the rest"
    )
    # At the working resolution two tiles lie below one another.
    assert notes(2 * limit, height=512) == ()
    assert "a tile of an image holds up to" in notes(2 * limit + 1, height=512)[0]
    maps = plan.model_copy(update={"model": ModelPlan(name="swiftnet")})
    assert notes(limit + 1, planned=maps) == ()
    assert notes(limit + 1, planned=plan.model_copy(update={"task": "semantic"})) == ()
