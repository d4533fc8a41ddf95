"""Packages of extras: what a missing one says, and that none can report its use."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from maskwright.core.errors import MaskwrightError
from maskwright.core.optional import TELEMETRY, optional

if TYPE_CHECKING:
    from pathlib import Path


def test_a_missing_package_names_the_extra() -> None:
    with pytest.raises(MaskwrightError) as caught:
        optional("no_such_package.part", "onnx")
    assert str(caught.value) == 'no_such_package.part is not installed: pip install "maskwright[onnx]"'


def test_a_package_that_lacks_another_is_not_called_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "needs_another.py").write_text("import the_other_one")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="the_other_one"):
        optional("needs_another", "onnx")


def test_the_package_that_reports_cannot_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, TELEMETRY, raising=False)
    assert optional("json", "onnx").__name__ == "json"
    with pytest.raises(ModuleNotFoundError):
        __import__(TELEMETRY)
