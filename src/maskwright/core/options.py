"""How a field of a request is offered as an option of the command line: the one description of both. Knows no verb."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Option:
    """How the command line offers a field.

    Attributes:
        flag: for example `--budget`.
        metavar: placeholder of the value in the help.
        help: one sentence.
        key: dotted key of the plan that the field sets, or None where it sets none.
        least: smallest number allowed, or None.
        repeatable: the option may be given several times.
    """

    flag: str
    metavar: str
    help: str
    key: str | None = None
    least: int | None = None
    repeatable: bool = False

    @property
    def metadata(self) -> dict[str, Any]:
        """Metadata for `dataclasses.field`."""
        return {"option": self}
