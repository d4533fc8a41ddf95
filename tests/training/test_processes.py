from __future__ import annotations

from typing import Any

import pytest
import torch
from lightning_fabric import Fabric

from maskwright.core.errors import MaskwrightError
from maskwright.training import processes


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What Fabric is asked for."""
    seen: list[dict[str, Any]] = []
    monkeypatch.setattr(processes, "Fabric", lambda **wanted: seen.append(wanted))
    return seen


@pytest.fixture
def _torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of one of six processes, two on each machine."""
    values = {"TORCHELASTIC_RUN_ID": "run", "LOCAL_WORLD_SIZE": "2", "WORLD_SIZE": "6", "RANK": "3", "LOCAL_RANK": "1"}
    for name, value in values.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("build", [processes.alone, processes.together])
def test_one_process_computes_where_and_as_it_is_told(build: Any) -> None:
    fabric = build(torch.device("cpu"), "bf16-mixed")
    assert isinstance(fabric, Fabric)
    assert (fabric.device.type, fabric.world_size, fabric.global_rank) == ("cpu", 1, 0)
    with fabric.autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16
    assert processes.is_first()


@pytest.mark.parametrize(("name", "devices"), [("cuda", 1), ("cuda:1", [1]), ("mps", 1)])
@pytest.mark.parametrize("build", [processes.alone, processes.together])
def test_one_of_several_devices_can_be_named(asked: list[dict[str, Any]], build: Any, name: str, devices: Any) -> None:
    build(torch.device(name), "16-mixed")
    assert asked == [{"accelerator": name.partition(":")[0], "devices": devices, "precision": "16-mixed"}]


@pytest.mark.usefixtures("_torchrun")
def test_torchrun_says_how_many_there_are(asked: list[dict[str, Any]]) -> None:
    processes.together(torch.device("cuda"), "bf16-mixed")
    shared = {"num_nodes": 3, "strategy": "ddp", "precision": "bf16-mixed"}
    assert asked == [{"accelerator": "cuda", "devices": 2, **shared}]


@pytest.mark.usefixtures("_torchrun")
def test_measuring_is_done_alone_even_among_many(asked: list[dict[str, Any]]) -> None:
    processes.alone(torch.device("cpu"), "32-true")
    assert asked == [{"accelerator": "cpu", "devices": 1, "precision": "32-true"}]


@pytest.mark.usefixtures("_torchrun")
def test_one_device_for_all_processes_is_refused() -> None:
    with pytest.raises(MaskwrightError, match=r"^the device cuda:1 is one device, .*: use cuda, and CUDA_V") as refused:
        processes.together(torch.device("cuda:1"), "32-true")
    assert refused.value.key == "device"


@pytest.mark.usefixtures("_torchrun")
@pytest.mark.parametrize(("rank", "first"), [("0", True), ("3", False)])
def test_the_first_process_is_that_of_rank_0(monkeypatch: pytest.MonkeyPatch, rank: str, first: bool) -> None:
    monkeypatch.setenv("RANK", rank)
    assert processes.is_first() is first
