"""How a verb's help shows arguments: by name, as in the docs, and not with Python's types. Knows no verb."""

from __future__ import annotations

from typing import Any

from typer.core import TyperArgument, TyperCommand


class Verb(TyperCommand):
    """A command whose help says `SOURCE...` where Typer's says `SOURCE <list[str]>`."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return `[OPTIONS]` and the arguments; those in brackets may be left out."""
        arguments = [param for param in self.get_params(ctx) if isinstance(param, TyperArgument)]
        return ["[OPTIONS]", *(_name(param) if param.required else f"[{_name(param)}]" for param in arguments)]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the tables of arguments and options."""
        rows: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if isinstance(param, TyperArgument) and record is not None:
                rows["Arguments"].append((_name(param), record[1]))
            elif record is not None:
                rows["Options"].append(record)
        for title, table in rows.items():
            if table:
                with formatter.section(title):
                    formatter.write_dl(table)


def _name(argument: TyperArgument) -> str:
    return f"{argument.display_name_raw}{'' if argument.nargs == 1 else '...'}"
