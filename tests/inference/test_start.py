"""What a prediction loads: libraries whose import takes seconds stay out where the model does not need them."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from maskwright import models
from maskwright.core.classes import Classes
from maskwright.core.plan import DataPlan, ModelPlan, PredictPlan
from maskwright.models import bundle
from maskwright.models.bundle import Card, CardClasses

if TYPE_CHECKING:
    from pathlib import Path

SLOW = ("timm", "torchvision", "torch._dynamo", "sympy", "lightning_fabric")
CODE = f"""
import sys
import numpy as np
import maskwright as mw
from maskwright.inference.streamed import RowEngine
predictor = mw.load(sys.argv[1], device="cpu")
predictor.maps(np.zeros((64, 64, 3), np.uint8))
if sys.argv[2] == "rows":
    RowEngine(predictor.engine)
print(*[name for name in {SLOW} if name in sys.modules])
"""


@pytest.mark.parametrize(
    ("model", "backbone", "slow"),
    [
        ("unet", "compact", ""),
        ("unet", "timm:tf_efficientnet_lite0", ""),
        # Its random weights are normal, for which torch loads its compiler on the meta device.
        ("swiftnet", "mit", ""),
        ("unet", "resnet18", "timm torchvision torch._dynamo sympy"),
    ],
)
def test_only_a_model_that_needs_them_loads_slow_libraries(
    model: str, backbone: str, slow: str, tmp_path: Path
) -> None:
    card = Card(
        model=ModelPlan(name=model, backbone=backbone),
        classes=CardClasses.of(Classes.named(("a", "b"))),
        data=DataPlan(),
        predict=PredictPlan(tile=(64, 64)),
    )
    bundle.save(tmp_path / "model.safetensors", models.create(model, 2, backbone=backbone), card)
    rows = "rows" if backbone != "mit" else "tiles"
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(tmp_path / "model.safetensors"), rows],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, slow), done.stderr
