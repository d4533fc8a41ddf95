from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskwright.core.errors import MaskwrightError
from maskwright.core.plan import SamplingPlan
from maskwright.core.seeds import generator
from maskwright.data.sampling import Draw, Sampler

PRESENCE = [frozenset({0}), frozenset({0, 1}), frozenset({0, 2}), frozenset({0, 1, 2}), frozenset()]


def draws(sampler, count, start=0):
    return [sampler.draw(*divmod(position, sampler.batch)) for position in range(start, start + count)]


@given(st.integers(1, 20), st.integers(1, 9), st.integers(0, 99))
def test_every_image_comes_once_before_any_comes_again(records, batch, seed):
    sampler = Sampler([frozenset({0})] * records, SamplingPlan(rare_share=0, batch=batch), seed)
    for epoch in range(3):
        seen = [draw.record for draw in draws(sampler, records, epoch * records)]
        assert sorted(seen) == list(range(records))


def test_each_time_round_has_its_own_order():
    sampler = Sampler([frozenset()] * 50, SamplingPlan(rare_share=0, batch=50), 0)
    first, second = ([sampler.draw(step, slot).record for slot in range(50)] for step in (0, 1))
    assert first != second


@given(st.floats(0, 1), st.integers(1, 9))
def test_the_share_of_class_positions_is_exact(share, batch):
    sampler = Sampler(PRESENCE, SamplingPlan(rare_share=share, batch=batch), 3)
    wanted = sum(draw.wanted is not None for draw in draws(sampler, 200))
    assert wanted == int(200 * share)


def test_plain_positions_cover_every_image_between_class_positions():
    sampler = Sampler(PRESENCE, SamplingPlan(rare_share=0.5, batch=4), 1)
    plain = [draw.record for draw in draws(sampler, 20) if draw.wanted is None]
    assert [sorted(plain[:5]), sorted(plain[5:])] == [[0, 1, 2, 3, 4]] * 2


def test_a_class_comes_with_a_record_that_contains_it():
    sampler = Sampler(PRESENCE, SamplingPlan(rare_share=1.0), 0)
    for draw in draws(sampler, 300):
        assert draw.wanted in PRESENCE[draw.record]


def test_odds_decide_and_equal_odds_are_equal():
    even = Counter(draw.wanted for draw in draws(Sampler(PRESENCE, SamplingPlan(rare_share=1.0), 0), 3000))
    assert all(abs(even[index] - 1000) < 120 for index in (0, 1, 2))
    plan = SamplingPlan(rare_share=1.0, class_odds=[0.0, 0.9, 0.3])
    uneven = Counter(draw.wanted for draw in draws(Sampler(PRESENCE, plan, 0), 3000))
    assert uneven[0] == 0
    assert abs(uneven[1] - 2250) < 120


def test_odds_for_classes_that_no_image_shows_do_nothing():
    plan = SamplingPlan(rare_share=1.0, class_odds=[0.0, 0.0, 1.0, 5.0])
    assert {draw.wanted for draw in draws(Sampler(PRESENCE, plan, 0), 50)} == {2}


@pytest.mark.parametrize("plan", [SamplingPlan(rare_share=0.5), SamplingPlan(rare_share=0.5, class_odds=[0.0])])
def test_without_a_class_to_draw_all_positions_are_plain(plan):
    presence = [frozenset()] * 3 if plan.class_odds is None else [frozenset({0})] * 3
    assert all(draw.wanted is None for draw in draws(Sampler(presence, plan, 0), 30))


@given(st.integers(0, 10_000), st.integers(0, 7))
def test_a_draw_depends_on_seed_step_and_slot_alone(step, slot):
    plan = SamplingPlan(batch=8)
    warm = Sampler(PRESENCE, plan, 5)
    draws(warm, 40)
    assert warm.draw(step, slot) == Sampler(PRESENCE, plan, 5).draw(step, slot)


def test_another_seed_draws_otherwise():
    plan = SamplingPlan(batch=8)
    assert draws(Sampler(PRESENCE, plan, 0), 64) != draws(Sampler(PRESENCE, plan, 1), 64)


def test_what_cannot_work_is_refused():
    with pytest.raises(MaskwrightError, match="no image to train on"):
        Sampler([], SamplingPlan(), 0)
    with pytest.raises(MaskwrightError, match=r"class_odds.*up to index 2"):
        Sampler(PRESENCE, SamplingPlan(class_odds=[0.5, 0.5]), 0)
    with pytest.raises(MaskwrightError, match="none below 0"):
        Sampler(PRESENCE, SamplingPlan().model_copy(update={"class_odds": [0.5, -0.5, 1.0]}), 0)


def test_a_donor_is_an_object_of_another_record() -> None:
    """Class 0 is the background; only record 3 has class 2, and nothing is pasted into its own crops for that class."""
    presence = [frozenset({0, 1}), frozenset({0, 1}), frozenset({0}), frozenset({0, 1, 2})]
    sampler = Sampler(presence, SamplingPlan(batch=4, class_odds=[0.8, 0.1, 0.1]), 0, objects=(1, 2))
    for record in range(4):
        found = [sampler.donor(step, slot, record) for step in range(200) for slot in range(4)]
        holders = {(donor.record, donor.wanted) for donor in found if donor is not None}
        assert holders == {(0, 1), (1, 1), (3, 1), (3, 2)} - {(record, 1), (record, 2)}
        share = found.count(None) / len(found)
        assert share == pytest.approx(0.5, abs=0.08) if record == 3 else share == 0
    assert Sampler(presence, SamplingPlan(), 0).donor(0, 0, 0) is None, "a task without objects"


@given(st.sets(st.integers(0, 30), min_size=1), st.integers(0, 31), st.integers(0, 40))
def test_every_other_holder_is_as_likely_a_donor_in_the_order_of_the_records(
    holders: set[int], record: int, step: int
) -> None:
    presence = [frozenset({1}) if number in holders else frozenset() for number in range(32)]
    found = Sampler(presence, SamplingPlan(batch=1), 0, objects=(1,)).donor(step, 0, record)
    others = sorted(holders - {record})
    _, place = generator(0, "donor", step).random(2)
    assert found == (Draw(others[int(place * len(others))], 1) if others else None)
