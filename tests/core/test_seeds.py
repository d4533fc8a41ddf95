from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskwright.core.seeds import generator

KEYS = st.lists(st.one_of(st.integers(0, 2**40), st.text(max_size=5)), max_size=3)


@given(st.integers(0, 2**40), KEYS)
def test_the_same_keys_give_the_same_numbers(seed: int, keys: list[int | str]) -> None:
    assert generator(seed, *keys).random(4).tolist() == generator(seed, *keys).random(4).tolist()


@pytest.mark.parametrize("other", [(1, "a", 2), (0, "b", 2), (0, "a", 3), (0, 2, "a"), (0, "a")])
def test_other_keys_give_other_numbers(other: tuple[int, *tuple[int | str, ...]]) -> None:
    assert generator(0, "a", 2).random() != generator(*other).random()


def test_numbers_stay_what_they_were() -> None:
    """Runs are repeated by their seeds: a change here would change them all."""
    assert generator(0, "sample", 1, 2).integers(1000, size=3).tolist() == [830, 120, 377]
