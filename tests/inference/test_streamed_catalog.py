"""Every architecture by rows: its maps are those of the whole image, or it is refused for a reason that the docs give.

Which ones are refused is what the engine says, so the docs follow the code. The networks are as small as their options
allow, over the smallest backbone, with averages over windows, as plans have them.
"""

from __future__ import annotations

from collections import defaultdict
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.models.references import awake
from tests.models.smallest import smallest
from torch import nn

from maskwright import models
from maskwright.core.classes import Classes
from maskwright.core.plan import DataPlan, ModelPlan, PredictPlan
from maskwright.inference import streamed
from maskwright.inference.engine import TorchEngine
from maskwright.inference.streamed import RowEngine
from maskwright.inference.streaming.tracing import NotStreamableError
from maskwright.models.bundle import Card, CardClasses

pytestmark = pytest.mark.usefixtures("one_thread")

NAMES = sorted({**models.MODELS, **models.OBJECT_MODELS, **models.PIXEL_MODELS})
DOCS = Path(__file__).parents[2] / "docs/big-images.md"
CARD = Card(
    model=ModelPlan(),
    classes=CardClasses.of(Classes.named(["one", "two", "three"])),
    data=DataPlan(),
    predict=PredictPlan(window=(64, 48)),
)


def engine_of(name: str, *, fast: bool = False) -> TorchEngine:
    """Return an engine of a small network with random weights."""
    torch.manual_seed(1)
    options = {} if name in models.PIXEL_MODELS else smallest(name)
    network = awake(models.create(name, 3, 3, **options))
    for weight in network.parameters():
        if not weight.any():  # classifiers and biases, which start at zero
            nn.init.normal_(weight)
    norms = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    if norms:  # with statistics of its own, no layer is dead
        with torch.no_grad():
            network.train()(torch.randn(2, 3, 96, 64))
    return TorchEngine(network, CARD, "cpu", fast=fast)


@cache
def verdict(name: str) -> RowEngine | str:
    """Return the engine by rows, or why there is none."""
    try:
        return RowEngine(engine_of(name))
    except NotStreamableError as error:
        return str(error)


@pytest.mark.parametrize("name", NAMES)
def test_the_maps_are_those_of_the_whole_image(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    by_rows = verdict(name)
    if isinstance(by_rows, str):
        return  # the next test compares the reason with the docs
    monkeypatch.setattr(streamed, "TURN_PIXELS", 1)  # a turn is one row of the coarsest level
    image = np.random.default_rng(2).integers(0, 256, (333, 91, 3), np.uint8)
    whole = engine_of(name).forward(image[None])
    ((panel, source),) = by_rows.sources(image, CARD.data, None)
    schedule = by_rows.schedule(source.working)
    turns = list(by_rows.turns(schedule, schedule.turns.start, by_rows.extended(source, panel.outer)))
    assert len(turns) > 5
    found = torch.cat([maps for _, maps in turns], 2)[:, :, :333, :91]
    assert float(whole.std((2, 3)).max()) > 1e-3 * float(whole.abs().max())
    torch.testing.assert_close(found, whole, atol=1e-5 * float(whole.abs().max()), rtol=1e-4)


def test_the_docs_say_which_networks_are_refused_and_why() -> None:
    networks = defaultdict(list)
    for name in NAMES:
        found = verdict(name)
        networks[f"in tiles: {found}" if isinstance(found, str) else "by rows"].append(f"`{name}`")
    rows = [f"| {', '.join(names)} | {how} |" for how, names in sorted(networks.items())]
    table = "\n".join(["| network | predicted |", "|---|---|", *rows])
    assert f"\n\n{table}\n\n" in DOCS.read_text(encoding="utf-8"), f"{DOCS.name} lacks this table:\n{table}"
