"""One-to-one matching at the least cost, of any two kinds of things."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scipy  # its parts are imported when they are used

if TYPE_CHECKING:
    from numpy.typing import NDArray


def matched(costs: NDArray[np.floating]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Match rows with columns one to one, as many as there are of the fewer, at the least total cost.

    Solved exactly, in O(n^3) (Kuhn 1955, "The Hungarian Method"; Crouse 2016 for the algorithm). A cost that is not
    finite is taken as larger than all others together, so a network that diverges is matched all the same.

    Args:
        costs: (R, C).

    Returns:
        matched rows, ascending, and their columns.
    """
    finite = np.isfinite(costs)
    most = np.abs(costs[finite]).max(initial=0.0)
    return scipy.optimize.linear_sum_assignment(np.where(finite, costs, (2 * most + 1) * (min(costs.shape) + 1)))
