"""The search itself: spaces, proposals, rungs and halves, for any numbers."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskwright.tuning.halves import halves
from maskwright.tuning.proposals import proposal
from maskwright.tuning.rungs import Job, Rung, Standing, cost, ladder
from maskwright.tuning.space import Dimension, Option, Space

RATE = Dimension("rate", (Option("rate x 2", {"optim.lr": 2}), Option("rate x 4", {"optim.lr": 4})), 3.0)
CROP = Dimension("crop", (Option("large crop", {"sampling.crop": [64, 64]}),))
SPACE = Space((RATE, CROP))


@st.composite
def spaces(draw: st.DrawFn) -> Space:
    sizes = draw(st.lists(st.integers(1, 3), min_size=1, max_size=4))
    return Space(
        tuple(
            Dimension(f"d{place}", tuple(Option(f"{place}={value}", {f"k.{place}": value}) for value in range(size)))
            for place, size in enumerate(sizes)
        )
    )


def test_a_choice_by_hand() -> None:
    assert SPACE.size == 6
    assert SPACE.changes((2, 1)) == {"optim.lr": 4, "sampling.crop": [64, 64]}
    assert SPACE.words((2, 1)) == "rate x 4, large crop"
    assert SPACE.words(SPACE.plan) == "the plan"
    assert SPACE.changes(SPACE.plan) == {}


def test_no_two_dimensions_change_one_key() -> None:
    with pytest.raises(AssertionError):
        Space((RATE, Dimension("again", (Option("rate", {"optim.lr": 1}),))))


@given(spaces(), st.integers(0, 99), st.data())
def test_all_choices_are_proposed_once_and_the_plan_first(space: Space, seed: int, data: st.DataObject) -> None:
    earlier: list[tuple[int, ...]] = []
    scores: dict[int, float] = {}
    while (made := proposal(space, seed, earlier, scores)) is not None:
        assert made not in earlier
        assert all(0 <= place <= len(one.options) for place, one in zip(made, space.dimensions, strict=True))
        assert made == proposal(space, seed, earlier, scores)
        earlier.append(made)
        if data.draw(st.booleans()):
            scores[len(earlier) - 1] = data.draw(st.floats(0, 1))
    assert earlier[0] == space.plan
    assert len(earlier) == space.size


def test_good_trials_are_combined() -> None:
    """Two changes help, each alone: among all that a large space offers, both together come up soon."""
    space = Space(
        tuple(Dimension(f"d{k}", (Option(f"{k}", {f"k.{k}": 1}), Option(f"{k}b", {f"k.{k}": 2}))) for k in range(9))
    )
    first, second = (1, *(0,) * 8), (0, 1, *(0,) * 7)
    others = [(0,) * 9, *((0,) * (k + 2) + (1,) + (0,) * (6 - k) for k in range(5))]
    earlier = [others[0], first, second, *others[1:]]
    scores = {0: 0.5, 1: 0.6, 2: 0.6} | dict.fromkeys(range(3, len(earlier)), 0.4)
    made = {proposal(space, seed, earlier, scores) for seed in range(20)}
    assert (1, 1, *(0,) * 7) in made


@given(st.floats(5, 5000), st.floats(0.1, 30), st.floats(1, 60), st.none() | st.integers(2, 40), st.integers(1, 9))
def test_a_ladder_fits_its_time(seconds: float, fixed: float, least: float, most: int | None, workers: int) -> None:
    rungs = ladder(seconds, fixed, least, most, workers)
    if not rungs:
        turns = 2 if workers == 1 else 1
        assert (seconds - turns * fixed) / (turns * 1.25) < least * (1 + 1e-9)  # not even the plan and one other
        return
    assert cost(rungs, fixed, workers) == pytest.approx(seconds)
    assert rungs[0].seconds >= least
    assert most is None or rungs[0].trials <= most
    for lower, upper in pairwise(rungs):
        assert upper.seconds == pytest.approx(3 * lower.seconds)
    counts = [rung.trials for rung in rungs]
    assert all(count % workers == 0 or count == most for count in counts), "nobody is idle"
    assert counts == sorted(counts, reverse=True)
    assert workers > 1 or counts[-1] == 2
    assert workers > 1 or len(set(counts)) == len(counts)


def test_a_ladder_by_hand() -> None:
    # Nine trials, then three, then two: 9 t + 3 x 2 t + 2 x 6 t of training, a quarter of 9 t + 9 t + 18 t of cooldown.
    assert cost((Rung(4.0, 9), Rung(12.0, 3), Rung(36.0, 2)), 1.0) == 27 * 4 + 9 * 4 + 14
    assert ladder(14 + 36 * 4, 1.0, 4.0, 9) == (Rung(4.0, 9), Rung(12.0, 3), Rung(36.0, 2))


def test_a_ladder_for_several_workers_by_hand() -> None:
    # Four at a time: three turns of the nine, and one of the three and of the two.
    rungs = (Rung(4.0, 9), Rung(12.0, 3), Rung(36.0, 2))
    assert cost(rungs, 1.0, 4) == 3 * (5 + 1) + (8 + 3 + 1) + (24 + 9 + 1)
    # In the same time the fourth worker of each last turn trains another trial, unless that is one too many.
    assert ladder(64.0, 1.0, 4.0, None, 4) == (Rung(4.0, 12), Rung(12.0, 4), Rung(36.0, 4))
    assert ladder(64.0, 1.0, 4.0, 9, 4) == (Rung(4.0, 9), Rung(12.0, 4), Rung(36.0, 4))


@given(st.lists(st.none() | st.floats(0, 1), min_size=9, max_size=9), st.booleans())
def test_the_best_go_on_and_the_plan_always(scores: list[float | None], better: bool) -> None:
    rungs = (Rung(1.0, 9), Rung(3.0, 3), Rung(9.0, 2))
    found = {Job(trial, 0): score for trial, score in enumerate(scores)}
    standing = Standing(rungs, found, better)
    members = standing.members(1)
    assert members is not None
    assert members[0] == 0
    known = {trial: score for trial, score in enumerate(scores) if trial and score is not None}
    assert len(members) == 1 + min(2, len(known))
    for trial in members[1:]:
        worse = [score for other, score in known.items() if other not in members]
        assert all((known[trial] >= score) if better else (known[trial] <= score) for score in worse)
    assert standing.open_jobs() == [Job(trial, 1) for trial in members]
    assert standing.members(2) is None


def test_a_search_goes_on_where_it_was() -> None:
    rungs = (Rung(1.0, 3), Rung(3.0, 2))
    standing = Standing(rungs, {Job(0, 0): 0.5, Job(2, 0): 0.7})
    assert standing.open_jobs() == [Job(1, 0)]
    assert standing.leader() == Job(2, 0)
    done = Standing(rungs, {Job(0, 0): 0.5, Job(1, 0): None, Job(2, 0): 0.7, Job(0, 1): 0.8, Job(2, 1): 0.75})
    assert done.open_jobs() == []
    assert done.leader() == Job(2, 1)
    assert Standing(rungs, {Job(0, 0): 0.5, Job(1, 0): None, Job(2, 0): None}).leader() is None


@given(
    st.lists(
        st.tuples(st.integers(0, 99), st.none() | st.sampled_from("abc")), max_size=30, unique_by=lambda row: row[0]
    )
)
def test_halves_share_no_group(rows: list[tuple[int, str | None]]) -> None:
    images = [(str(name), group) for name, group in rows]
    first, second = halves(images, 0)
    assert first | second == {name for name, _ in images}
    assert not first & second
    groups = [{group for name, group in images if name in half and group} for half in (first, second)]
    assert not groups[0] & groups[1]
    largest = max((sum(own == group for _, own in images) for _, group in images if group), default=1)
    assert 0 <= len(first) - len(second) <= largest
    assert halves(images[::-1], 0) == (first, second)
