"""`maskwright losses`: list the losses. The catalog is in `losses`."""

from __future__ import annotations

from maskwright.cli.errors import DONE
from maskwright.cli.options import AsJson
from maskwright.cli.tables import Column, table
from maskwright.cli.terminal import Terminal


def losses(as_json: AsJson = False) -> int:
    """List the losses.

    Training can minimise any weighted sum of them.
    """
    from maskwright.losses import LOSSES

    terminal = Terminal(as_json=as_json)
    entries = {
        name: {"summary": entry.summary, "year": entry.year, "paper": entry.paper} for name, entry in LOSSES.items()
    }
    terminal.answer(entries)
    rows = list(entries.values())
    terminal.show(
        table(
            "Losses",
            [
                Column("name", list(entries), kind="name"),
                Column("description", [str(row["summary"]) for row in rows], kind="prose"),
                Column("year", [str(row["year"]) for row in rows], rank=1),
                Column("paper", [str(row["paper"]) for row in rows], kind="prose", rank=2),
            ],
            terminal.width,
        ),
        "\nA weighted sum: --set loss.terms='{cross_entropy: 1, dice: 0.5}'",
    )
    return DONE
