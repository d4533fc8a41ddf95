"""Mask2Former learns two photographs by heart: its loss, its matching and its objects fit together."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from maskwright import models
from maskwright.core.channels import object_channels
from maskwright.core.classes import Classes
from maskwright.core.plan import DataPlan, ModelPlan, OptimPlan, Plan, PredictPlan
from maskwright.core.targets import Target
from maskwright.inference.predictor import Predictor
from maskwright.models.bundle import Card, CardClasses
from maskwright.ops.instance_maps import from_map
from maskwright.tasks import task_of
from maskwright.training.measure import as_target
from maskwright.training.processes import alone
from maskwright.training.step import TrainingStep

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "pedestrians"
SIDE, STEPS, RATE = 128, 150, 0.02
CLASSES = Classes.named(("background", "person"))


def photograph(path: Path) -> tuple[np.ndarray, Target]:
    """Return an image (SIDE, SIDE, 3) with its people."""
    image = cv2.imread(str(path))[:, :, ::-1]
    ids = cv2.imread(str(DATA / "instances" / f"{path.stem}.png"), cv2.IMREAD_UNCHANGED)
    image = cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    ids = cv2.resize(ids, (SIDE, SIDE), interpolation=cv2.INTER_NEAREST)
    labels = (ids > 0).astype(np.uint8)
    planes = np.stack([ids, labels]).astype(np.float32)
    return image, Target(labels, planes, from_map(ids.astype(np.int32), [1] * int(ids.max())))


@pytest.mark.skipif(not DATA.is_dir(), reason="../shared/data/pedestrians is absent")
def test_two_photographs_are_learnt_by_heart() -> None:
    pairs = [photograph(path) for path in sorted((DATA / "images").iterdir())[:2]]
    options = {
        "widths": [16, 32, 64, 64],
        "depths": [1, 1, 1, 1],
        "width": 32,
        "heads": 4,
        "layers": [1, 3],
        "queries": 10,
    }
    plan = Plan(
        task="instance",
        model=ModelPlan(name="mask2former", backbone="compact", options=options),
        optim=OptimPlan(name="muon", lr=RATE),
    )
    torch.manual_seed(0)
    task, groups = task_of(plan), object_channels(2)
    network = models.create_from_plan(plan.model, groups, 3)
    step = TrainingStep(network, plan, task.loss(plan, CLASSES), alone(torch.device("cpu"), "32-true"))
    images = torch.from_numpy(np.stack([(image - 127.5) / 64 for image, _ in pairs])).permute(0, 3, 1, 2).float()
    encoded = [task.encode(target, CLASSES) for _, target in pairs]
    targets = {key: as_target(torch.from_numpy(np.stack([one[key] for one in encoded]))) for key in encoded[0]}
    for number in range(STEPS):
        step((images, targets), number, number / STEPS, RATE * (1 - number / STEPS))
    card = Card(
        task="instance",
        channels=groups,
        model=plan.model,
        classes=CardClasses.of(CLASSES),
        data=DataPlan(channels=3, mean=[127.5] * 3, std=[64.0] * 3),
        predict=PredictPlan(tile=(SIDE, SIDE)),
    )
    predictor = Predictor.of(network, card, "cpu")
    judge = task.judge(CLASSES, {"score": 0.0})
    for name, (image, target) in zip("ab", pairs, strict=True):
        judge.update(name, predictor.blocks(image), target)
    assert judge.compute().mean["mask_ap50"].value > 0.95
