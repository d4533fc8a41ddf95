"""YAML as people write it: `3e-4` is a number, `010` is ten, and a key stands once. Knows no plan."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Hashable

YAMLError = yaml.YAMLError
_INTEGER, _FLOAT = "tag:yaml.org,2002:int", "tag:yaml.org,2002:float"
_WHOLE = re.compile(r"[-+]?[0-9]+$")
_REAL = re.compile(r"[-+]?(?:(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:e[-+]?[0-9]+)?|\.inf|\.nan)$", re.IGNORECASE)
# Those of YAML 1.1 read 3e-4 as text, 010 as eight, and 1:30 as ninety.
_OTHERS = {
    first: [(tag, pattern) for tag, pattern in rows if tag not in {_INTEGER, _FLOAT}]
    for first, rows in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers = _OTHERS

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key, _ in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else None
            if name in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key {name!r} appears twice", key.start_mark)
            seen |= {name} - {None}
        return super().construct_mapping(node, deep=deep)


class _Dumper(yaml.SafeDumper):
    yaml_implicit_resolvers = _OTHERS


for _kind in (_Loader, _Dumper):
    _kind.add_implicit_resolver(_INTEGER, _WHOLE, list("-+0123456789"))
    _kind.add_implicit_resolver(_FLOAT, _REAL, list("-+.0123456789"))
_Loader.add_constructor(_INTEGER, lambda _, node: int(node.value))
_Loader.add_constructor(_FLOAT, lambda _, node: _real(node.value))


def _real(text: str) -> float:
    """Read a number: `1e3` is whole, and a zero has no sign."""
    if text.lower().endswith(("inf", "nan")):
        return float(text.replace(".", ""))
    value = float(text) + 0.0
    return int(value) if "." not in text and value.is_integer() else value


def load(text: str) -> Any:
    """Read YAML into plain types.

    Raises:
        YAMLError: it is not YAML, or a key stands twice in one table.
    """
    try:
        return yaml.load(text, _Loader)  # noqa: S506 - derived from the safe loader
    except RecursionError:
        raise yaml.YAMLError("it is nested too deeply") from None


def dump(value: Any, **layout: Any) -> str:
    """Write plain types as YAML that `load` reads back, in their order."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, **layout)


def fault(error: yaml.YAMLError) -> str:
    """Say on one line what is wrong and where; YAML's own message takes several."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return " ".join(str(error).split())
    tabs = ": YAML is indented with spaces" if "'\\t'" in str(error.problem) else ""
    return f"line {error.problem_mark.line + 1}: {error.problem}{tabs}"
