"""Decoding errors, each with a short kind so that the fingerprint can count them. Decodes nothing itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from maskwright.core.errors import MaskwrightError
from maskwright.core.records import Fault

if TYPE_CHECKING:
    from maskwright.core.records import ImageRef, Severity

DecodeKind = Literal[
    "unreadable",
    "truncated",
    "bomb",
    "no-data",
    "size-mismatch",
    "unknown-label",
    "unknown-color",
    "other-convention",
    "jpeg-mask",
]


class DecodeError(MaskwrightError):
    """One image or annotation cannot be used.

    Attributes:
        kind: short and stable: `unreadable`, `truncated`, `bomb` (too large to decode), `no-data`, `size-mismatch`,
            `unknown-label`, `unknown-color`, `other-convention` (values that mean something else in other masks),
            `jpeg-mask` (ids that JPEG changed).
        image: the faulty file, or the faulty page of it.
        message: value and rule, in one clause without a subject.
        cure: what to do, in the imperative.
    """

    def __init__(self, kind: DecodeKind, image: ImageRef, message: str, cure: str) -> None:
        super().__init__(f"{image} {message}: {cure}")
        self.kind = kind
        self.image = image
        self.message = message
        self.cure = cure

    def fault(self, severity: Severity = "error") -> Fault:
        """Return this error as a `Fault`."""
        return Fault(self.kind, severity, self.image.path, f"{self.image.name} {self.message}", self.cure)


def without_transparency(image: ImageRef) -> DecodeError:
    """Build the error for a file without an alpha channel, which was asked for."""
    message = "has no alpha channel, but this data set marks its objects by transparency"
    return DecodeError("unreadable", image, message, "save it as a PNG with transparency, or remove it")
