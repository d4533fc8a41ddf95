"""What a user requests of an export. Importing this module is quick."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from maskwright.core.errors import MaskwrightError, unknown_name
from maskwright.core.paths import EXPORT_FILES


@dataclass(frozen=True)
class ExportRequest:
    """What to export a model to.

    Attributes:
        to: `onnx`, `openvino` or `torch`.
        int8: quantise to int8, with real images of the run's validation part.
        half: store weights as float16.
        data: the data set to compare on; None for that of the training.
        allow_loss: points (0.01) of the score that the export may lose.
        out: folder to write; None for one below `exports` in the run.

    Raises:
        MaskwrightError: an unknown target, int8 for PyTorch, or a loss that is not a number of points.
    """

    to: str = "onnx"
    int8: bool = False
    half: bool = False
    data: Path | None = None
    allow_loss: float = 0.5
    out: Path | None = None

    def __post_init__(self) -> None:
        for name in ("data", "out"):
            value = getattr(self, name)
            if isinstance(value, str):
                object.__setattr__(self, name, Path(value))
        if self.to not in EXPORT_FILES:
            raise unknown_name("target", self.to, EXPORT_FILES, "to")
        if self.int8 and self.to == "torch":
            raise MaskwrightError("int8 needs the target onnx or openvino, and the target is torch", "int8")
        if not 0 <= self.allow_loss < math.inf:
            raise MaskwrightError(f"`allow_loss` is {self.allow_loss}, and it must be 0 or more points", "allow_loss")

    @property
    def name(self) -> str:
        """The folder below `exports`."""
        return "-".join([self.to, *(["int8"] if self.int8 else []), *(["half"] if self.half else [])])
