from __future__ import annotations

from pathlib import Path

import pytest
import torch

from maskwright.core.errors import MaskwrightError
from maskwright.planning import machine


def test_this_machine_is_one() -> None:
    found = machine.probe("cpu")
    assert found.device == "cpu"
    assert found.cores >= 1
    assert found.memory_bytes > 2**20
    assert found.name


def test_a_device_that_is_not_there_is_refused_with_a_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(MaskwrightError, match=r"^PyTorch finds no cuda device here: use cpu or auto$") as refused:
        machine.probe("cuda")
    assert refused.value.key == "device"


@pytest.mark.parametrize(("cuda", "mps", "device"), [(True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")])
def test_auto_takes_the_best_there_is(monkeypatch: pytest.MonkeyPatch, cuda: bool, mps: bool, device: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _index: (123, 456))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _index: "a GPU")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    found = machine.probe("auto")
    assert found.device == device
    if device == "cuda":
        assert (found.name, found.memory_bytes, found.bfloat16) == ("a GPU", 123, True)
    if device == "mps":
        assert not found.bfloat16


def test_one_of_several_gpus_can_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda index: (index, 456))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: f"GPU {index}")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    found = machine.probe("cuda:1")
    assert (found.device, found.name, found.memory_bytes, found.place) == ("cuda", "GPU 1", 1, "cuda:1")
    assert machine.probe("cpu").place == "cpu"


@pytest.mark.parametrize(
    ("flags", "has"), [("avx2 avx512f", False), ("avx512_bf16 fma", True), ("amx_bf16", True), ("asimd bf16 sve", True)]
)
def test_bfloat16_is_read_from_the_flags(monkeypatch: pytest.MonkeyPatch, flags: str, has: bool) -> None:
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: f"flags : {flags}\n")
    assert machine.probe("cpu").bfloat16 is has


def test_without_a_list_of_flags_there_is_no_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", missing)
    assert not machine.probe("cpu").bfloat16
