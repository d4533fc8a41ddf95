"""Devices: what is there is found, what is not is refused with a cure."""

from __future__ import annotations

import pytest
import torch

from maskwright.core.errors import MaskwrightError
from maskwright.models.device import resolve_device


def test_auto_takes_the_fastest_there_is(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert resolve_device() == torch.device("cpu")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert resolve_device("auto") == torch.device("mps")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert resolve_device("auto") == torch.device("cuda")


def test_a_device_is_passed_on() -> None:
    assert resolve_device(torch.device("cpu")) == torch.device("cpu")
    assert resolve_device("cpu") == torch.device("cpu")


def test_what_is_not_there_is_refused(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for name, words in (
        ("cuda", "finds no cuda"),
        ("gpu0", "unknown device 'gpu0': give auto, cpu, cuda, cuda:N or mps"),
        ("meta", "maskwright does not run on 'meta': give auto, cpu, cuda, cuda:N or mps"),
    ):
        with pytest.raises(MaskwrightError, match=words):
            resolve_device(name)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert resolve_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(MaskwrightError, match="the device cuda:2 does not exist: this machine has 2, counted from 0"):
        resolve_device("cuda:2")
