from __future__ import annotations

import numpy as np

from maskwright.core.targets import Target


def test_size_and_bytes_are_those_of_the_arrays() -> None:
    labels = np.zeros((3, 5), np.uint8)
    assert (Target(labels).size, Target(labels).nbytes) == ((3, 5), 15)
    measured = Target(labels, np.zeros((2, 3, 5), np.float32))
    assert (measured.size, measured.nbytes) == ((3, 5), 15 + 2 * 15 * 4)
