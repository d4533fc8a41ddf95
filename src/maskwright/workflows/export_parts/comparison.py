"""What is known of the exports of a run: how each compares, kept as JSON, and a table of all. Prints nothing."""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from maskwright.core import resources
from maskwright.core.files import read_text, write_text
from maskwright.core.paths import EXPORTS, MODEL_FILE, MODEL_FILES, PARITY
from maskwright.core.text import plural
from maskwright.inference.opening import How, milliseconds, opened
from maskwright.inference.origin import FILES, ORIGIN, digest, digests
from maskwright.report.exports import ExportRow, ExportTable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from maskwright.exporting.parity import Parity
    from maskwright.inference.engine import Engine


@dataclass(frozen=True)
class Comparison:
    """The outcome of one export.

    Attributes:
        parity: how it compares with the trained model.
        arithmetic: `float32` or `int8`.
        kept: modules that stay in floating point.
        bfloat16: the same comparison with the rest of the arithmetic in bfloat16, where the engine and the processor
            have it and it agrees as well.
        floating: of int8, how many times as fast as the trained model the same export in float32 is.
    """

    parity: Parity
    arithmetic: str
    kept: Sequence[str] = ()
    bfloat16: Parity | None = None
    floating: float | None = None

    def write(self, export: Path, model: Path) -> None:
        """Write it beside the file of the export, with the hashes of the export's files and of the trained model."""
        found = {
            **self.parity.to_json(),
            "arithmetic": self.arithmetic,
            "kept": list(self.kept),
            "bfloat16": self.bfloat16 and self.bfloat16.to_json(),
            ORIGIN: digest(model),
            FILES: digests(export),
        }
        write_text(export.with_name(PARITY), json.dumps(found, indent=1) + "\n")


def table_of(run: Path, parity: Parity, tile: NDArray[np.uint8], *, percent: bool) -> ExportTable:
    """Time the trained model and all exports of it in the run, in turns.

    Args:
        run: the run folder; exports of an earlier model in it are left out.
        parity: of the newest export.
        tile: real one, uint8 (1, h, w, channels), that they are timed with.
        percent: whether its score is a share.
    """
    model = run / MODEL_FILE
    engine, card = opened(model, How("cpu"))
    trained = parity.trained
    rows = [ExportRow("trained", "torch", "float32", 0.0, None, trained.score, trained.bytes)]
    engines: list[Engine] = [engine]
    origin = digest(model)
    for comparison in sorted((run / EXPORTS).glob(f"*/{PARITY}")):
        found = json.loads(read_text(comparison))
        file = next((each for name in MODEL_FILES if (each := comparison.with_name(name)).is_file()), None)
        if file is None or found.get(ORIGIN) != origin:
            continue
        for fast, figures in ((False, found), (True, found["bfloat16"])):
            if figures is not None:
                engines.append(opened(file, How("cpu", fast=fast))[0])
                rows.append(_row(comparison.parent.name, file, figures, found["arithmetic"], fast=fast))
    times = milliseconds(engines, card, tile)
    best = min(times)
    timed = [replace(row, milliseconds=time, fastest=time == best) for row, time in zip(rows, times, strict=True)]
    name = platform.processor() or platform.machine()
    machine = f"{name} with {plural(resources.cores(), 'core')}"
    return ExportTable(timed, parity.metric, percent, parity.tile, machine, objects=parity.agreement.objects)


def _row(name: str, file: Path, figures: dict[str, Any], arithmetic: str, *, fast: bool) -> ExportRow:
    engine = {".onnx": "onnx", ".xml": "openvino"}.get(file.suffix, "torch")
    if fast:
        arithmetic = "bfloat16" if arithmetic == "float32" else f"{arithmetic} and bfloat16"
    exported = figures["exported"]
    return ExportRow(
        name, engine, arithmetic, 0.0, figures["agreement"]["labels"], exported["score"], exported["bytes"]
    )
