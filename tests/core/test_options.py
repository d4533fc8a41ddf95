from __future__ import annotations

from dataclasses import dataclass, field, fields

from maskwright.core.options import Option


def test_an_option_travels_with_its_field() -> None:
    option = Option("--freeze", "WHAT", "Keep weights.", key="optim.freeze")

    @dataclass
    class Request:
        freeze: str | None = field(default=None, metadata=option.metadata)

    (entry,) = fields(Request)
    assert entry.metadata["option"] is option
    assert (option.least, option.repeatable) == (None, False)
