"""Distillation: the distance from a teacher's maps, by hand and in PyTorch's own terms, and who may teach."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch.nn import functional as F

from maskwright import models
from maskwright.core.channels import class_channels
from maskwright.core.errors import MaskwrightError
from maskwright.core.plan import DataPlan, DistillPlan, ModelPlan, Plan
from maskwright.models import bundle
from maskwright.models.bundle import Card, CardClasses
from maskwright.training import distillation
from maskwright.training.distillation import divergence
from maskwright.training.processes import alone

if TYPE_CHECKING:
    from pathlib import Path

OPTIONS = {"widths": [8, 8, 16, 16], "width": 16}


def save(path: Path, classes: int = 2, data: DataPlan | None = None, seed: int = 0) -> Path:
    torch.manual_seed(seed)
    plan = ModelPlan(name="swiftnet", options=OPTIONS)
    names, colors = [f"c{index}" for index in range(classes)], [(index, 0, 0) for index in range(classes)]
    card = Card(
        model=plan,
        classes=CardClasses(names=names, colors=colors),  # type: ignore[arg-type]
        data=data or DataPlan(),
        channels=class_channels(classes),
    )
    bundle.save(path, models.create_from_plan(plan, class_channels(classes), 3), card)
    return path


def objective(path: Path | None, segmenter: Any, **wish: Any) -> Any:
    plan = Plan(distill=DistillPlan(teacher=None if path is None else str(path), **wish))
    return distillation.create(segmenter, plan, alone(torch.device("cpu"), "32-true"))


def network(classes: int = 2) -> Any:
    torch.manual_seed(9)
    return models.create("swiftnet", class_channels(classes), **OPTIONS)


def test_two_classes_by_hand() -> None:
    # Teacher (3/4, 1/4), student (1/2, 1/2): 3/4 log(3/2) + 1/4 log(1/2).
    wanted = torch.tensor([math.log(3.0), 0.0]).reshape(1, 2, 1, 1)
    expected = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert divergence(wanted, torch.zeros(1, 2, 1, 1), "softmax", 1.0).item() == pytest.approx(expected)
    # One channel with a sigmoid says the same of two classes.
    assert divergence(wanted[:, :1], torch.zeros(1, 1, 1, 1), "sigmoid", 1.0).item() == pytest.approx(expected)


def test_the_temperature_divides_both_and_keeps_the_size() -> None:
    random = torch.Generator().manual_seed(0)
    wanted, maps = torch.randn(2, 2, 5, 4, 6, generator=random)
    found = divergence(wanted, maps, "softmax", 3.0)
    flat = [each.permute(0, 2, 3, 1).reshape(-1, 5) / 3 for each in (wanted, maps)]
    judge = 9 * F.kl_div(flat[1].log_softmax(1), flat[0].softmax(1), reduction="batchmean")
    torch.testing.assert_close(found, judge)


def test_measured_values_are_compared_as_they_are() -> None:
    assert divergence(torch.tensor([1.0, 3.0]), torch.tensor([2.0, 1.0]), "none", 5.0).item() == 1.5


def test_a_network_that_agrees_with_its_teacher_adds_nothing(tmp_path: Path) -> None:
    path = save(tmp_path / "teacher.safetensors")
    twin, _ = bundle.load(path)
    images = torch.randn(2, 3, 33, 40, generator=torch.Generator().manual_seed(1))
    found = objective(path, twin)
    maps = twin(images, with_aux=True, upsample=False)
    assert found.loss(images, maps, {}).item() == pytest.approx(0, abs=1e-6)
    assert found.row() == {"distillation_loss": pytest.approx(0, abs=1e-6)}


def test_the_weight_counts_and_gradients_reach_the_student_alone(tmp_path: Path) -> None:
    path, student = save(tmp_path / "teacher.safetensors"), network()
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    losses = []
    for weight in (1.0, 3.0):
        found = objective(path, student, weight=weight)
        losses.append(found.loss(images, student(images, with_aux=True, upsample=False), {}))
        assert not any(each.requires_grad for each in found.teacher.parameters())
    assert losses[1].item() == pytest.approx(3 * losses[0].item())
    assert losses[0].item() > 0
    losses[0].backward()
    assert all(each.grad is not None for name, each in student.named_parameters() if not name.startswith("aux"))


def test_no_teacher_is_no_objective() -> None:
    assert objective(None, network()) is None


def test_a_teacher_of_other_classes_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "teacher.safetensors", classes=3)
    with pytest.raises(MaskwrightError, match=r"emits classes \(3\), and the network classes \(2\)") as caught:
        objective(path, network())
    assert caught.value.key == "distill.teacher"


def test_a_teacher_of_other_pixels_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "teacher.safetensors", data=DataPlan(scale=0.5))
    with pytest.raises(MaskwrightError, match=r"takes images with data.scale=0.5, and the plan has 1.0"):
        objective(path, network())


def test_a_network_without_maps_is_refused(tmp_path: Path) -> None:
    plan = Plan(distill=DistillPlan(teacher=str(tmp_path / "gone")), model=ModelPlan(name="maskrcnn"))
    with pytest.raises(MaskwrightError, match="maskrcnn does not learn maps"):
        distillation.create(network(), plan, alone(torch.device("cpu"), "32-true"))
