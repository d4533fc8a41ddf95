from __future__ import annotations

import pytest
from pydantic import ValidationError

from maskwright.core.channels import Channels, class_channels, places, total

GROUPS = (
    Channels(name="foreground", count=1, activation="sigmoid"),
    Channels(name="classes", count=4, activation="softmax"),
    Channels(name="offset", count=2, activation="none", vector=True),
)


@pytest.mark.parametrize(("count", "activation"), [(1, "sigmoid"), (2, "softmax"), (255, "softmax")])
def test_classes_are_one_group(count: int, activation: str) -> None:
    (group,) = class_channels(count)
    assert (group.name, group.count, group.activation, group.vector) == ("classes", count, activation, False)


def test_groups_lie_one_after_the_other() -> None:
    assert total(GROUPS) == 7
    assert places(GROUPS) == {"foreground": slice(0, 1), "classes": slice(1, 5), "offset": slice(5, 7)}
    assert (total(()), places(())) == (0, {})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"count": 1, "activation": "softmax"}, "channel group a: a softmax needs 2 channels or more, not 1"),
        ({"count": 3, "activation": "none", "vector": True}, "channel group a: a vector has 2 channels, x and y"),
        ({"count": 2, "activation": "sigmoid", "vector": True}, "channel group a: a vector has 2 channels, x and y"),
        ({"count": 0, "activation": "none"}, "greater than or equal to 1"),
        ({"count": 1, "activation": "tanh"}, "activation"),
        ({"count": 1, "activation": "none", "name": ""}, "at least 1 character"),
    ],
)
def test_what_no_network_can_emit_is_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Channels.model_validate({"name": "a", **values})


def test_a_group_is_fixed_and_comes_back_from_json() -> None:
    for group in GROUPS:
        assert Channels.model_validate_json(group.model_dump_json()) == group
    with pytest.raises(ValidationError, match="frozen"):
        GROUPS[0].count = 2
