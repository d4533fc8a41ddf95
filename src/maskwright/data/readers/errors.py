"""Errors of decoding, with a short kind each so that the fingerprint can count them. Decodes nothing itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from maskwright.core.errors import MaskwrightError
from maskwright.core.records import Fault

if TYPE_CHECKING:
    from pathlib import Path

    from maskwright.core.records import Severity

DecodeKind = Literal["unreadable", "truncated", "bomb", "nan", "size-mismatch", "unknown-label", "unknown-color"]


class DecodeError(MaskwrightError):
    """One image or annotation cannot be used.

    Attributes:
        kind: short and stable: `unreadable`, `truncated`, `bomb` (too large to decode), `nan`, `size-mismatch`,
            `unknown-label`, `unknown-color`.
        path: the file at fault.
        message: value and rule, in one clause.
        cure: what to do, in the imperative.
    """

    def __init__(self, kind: DecodeKind, path: Path, message: str, cure: str) -> None:
        super().__init__(f"{path} {message}: {cure}")
        self.kind = kind
        self.path = path
        self.message = message
        self.cure = cure

    def fault(self, severity: Severity = "error") -> Fault:
        """Return the same as a `Fault`."""
        return Fault(self.kind, severity, self.path, f"{self.path.name} {self.message}", self.cure)
