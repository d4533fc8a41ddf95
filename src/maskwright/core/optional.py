"""Packages that only some users need, installed by an extra of ours. Knows none of them but those that report usage."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING

from maskwright.core.errors import MaskwrightError

if TYPE_CHECKING:
    from types import ModuleType

TELEMETRY = "openvino_telemetry"
"""OpenVINO and NNCF send figures of their use through this package, unless it cannot be imported."""


def optional(name: str, extra: str) -> ModuleType:
    """Import a package that the extra `extra` installs; none of them can report its use.

    Raises:
        MaskwrightError: it is not installed.
    """
    sys.modules.setdefault(TELEMETRY, None)  # type: ignore[arg-type]
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name.partition(".")[0]:
            raise
        raise MaskwrightError(f'{name} is not installed: pip install "maskwright[{extra}]"') from None
