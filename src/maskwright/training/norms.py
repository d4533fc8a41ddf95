"""Norms of the gradients between two rows of the history: their mean, the largest, and how many were clipped."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor


class GradientNorms:
    """Collects the norm of each step before clipping. They stay on the device until a row is made.

    Args:
        clip: norm above which a gradient is clipped; 0 for never.
    """

    def __init__(self, clip: float) -> None:
        self._clip = clip
        self._norms: list[Tensor] = []

    def add(self, norm: Tensor) -> None:
        """Keep the norm of a step, a scalar."""
        self._norms.append(norm)

    def row(self) -> dict[str, float | None]:
        """Return the numbers of a row of the history, and start the next one.

        Norms that are not finite are left out: with 16-mixed precision, the scaler skips such a step. With any other
        precision the weights are no numbers after it, and the loss says so.

        Returns:
            `gradient` and `gradient_max`, mean and largest norm, None where no step had a finite one; `clipped`, the
            share of the steps whose gradient was clipped, where any would be.
        """
        norms = torch.stack(self._norms).double() if self._norms else torch.zeros(0)
        self._norms = []
        norms = norms[norms.isfinite()]
        known = len(norms) > 0
        row: dict[str, float | None] = {
            "gradient": float(norms.mean()) if known else None,
            "gradient_max": float(norms.max()) if known else None,
        }
        if self._clip:
            row["clipped"] = float((norms > self._clip).double().mean()) if known else None
        return row

    def save(self) -> list[float]:
        """Return the norms as plain numbers, for a checkpoint."""
        return torch.stack(self._norms).tolist() if self._norms else []

    def restore(self, norms: list[float], device: torch.device) -> None:
        """Take back what `save` returned."""
        self._norms = [torch.tensor(norm, device=device) for norm in norms]
