"""Randomness as a pure function: the same (seed, keys) always gives the same numbers, in any process or order."""

from __future__ import annotations

import zlib

import numpy as np


def generator(seed: int, *keys: int | str) -> np.random.Generator:
    """Return a random generator that depends on nothing but its arguments.

    Args:
        seed: the run's seed, 0 or more.
        keys: what the numbers are for, e.g. `("sample", step, slot)`. Text is keyed by its CRC-32.
    """
    words = [zlib.crc32(key.encode(errors="surrogatepass")) if isinstance(key, str) else key for key in keys]
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, *words])))
