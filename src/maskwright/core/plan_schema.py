"""Which values a place in the plan accepts, in words, from the schema of the plan. Knows no file and no option.

The words come from the same declarations that pydantic checks, so a message always states the rule that was
broken.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from maskwright.core import yaml_text
from maskwright.core.plan import Plan

if TYPE_CHECKING:
    from collections.abc import Sequence

    Schema = dict[str, Any]

_KINDS = {"integer": "a whole number", "number": "a number", "boolean": "true or false", "string": "text"}
_LIMITS = (
    ("minimum", "{:g} or more"),
    ("exclusiveMinimum", "above {:g}"),
    ("maximum", "{:,.10g} or less"),
    ("exclusiveMaximum", "below {:g}"),
)


@dataclass(frozen=True)
class Place:
    """A place in the plan.

    Attributes:
        key: dotted key of the setting that the place is in, `sampling.crop` for its first entry too; of a section,
            the first setting in it.
        words: what may stand at the place itself.
        usual: default of `key`; None where it has none.
        keys: names of the keys that the place has, if it is a section.
    """

    key: str
    words: str
    usual: Any
    keys: tuple[str, ...]


def place_at(location: Sequence[int | str]) -> Place:
    """Look a place up, such as `("sampling", "crop", 0)`; what lies beyond the schema counts as its last known part."""
    whole = Plan.model_json_schema()
    sections = whole["$defs"]
    schema, key, usual = whole, [], None
    for part in location:
        known = _plain(schema, sections)
        if part in known.get("properties", {}):
            schema = known["properties"][part]
            key.append(str(part))
            usual = schema.get("default")
        elif (inner := _entry(known, part)) is not None:
            schema = inner
        else:
            break
    properties = _plain(schema, sections).get("properties", {})
    if properties and key:  # a section: its first key serves as the example
        first = next(iter(properties))
        key.append(first)
        usual = properties[first].get("default")
    return Place(".".join(key), _words(schema, sections), usual, tuple(properties))


def keys_called(name: str) -> list[str]:
    """Return the dotted keys of every section that have this last name: a key is often looked for one section off."""
    sections = [(section, place_at([section]).keys) for section in Plan.model_fields]
    return [f"{section}.{name}" for section, keys in sections if name in keys]


def in_yaml(value: Any) -> str:
    """Write a value on one line, as it may stand in a plan or behind `--set KEY=`."""
    if isinstance(value, list | dict):
        return yaml_text.dump(value, default_flow_style=True, width=1000).strip()
    return value if isinstance(value, str) else json.dumps(value)


def _plain(schema: Schema, sections: dict[str, Schema]) -> Schema:
    """Follow a reference to a section, and leave aside that a value may be absent."""
    for choice in schema.get("anyOf", ()):
        if choice.get("type") != "null":
            return _plain(choice, sections)
    return sections[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema


def _entry(schema: Schema, part: int | str) -> Schema | None:
    """Return what one entry of a list or table may be."""
    pair = schema.get("prefixItems", ())
    if isinstance(part, int) and part < len(pair):
        return dict(pair[part])
    inner = schema.get("items", schema.get("additionalProperties"))
    return inner if isinstance(inner, dict) else None


def _words(schema: Schema, sections: dict[str, Schema]) -> str:
    """Say what a value has to be: `a number, 0 or more and below 1`."""
    if "anyOf" in schema:
        return f"{_words(_plain(schema, sections), sections)}, or null"
    schema = _plain(schema, sections)
    if "properties" in schema:
        return f"a section with the keys {', '.join(schema['properties'])}"
    if "const" in schema or "enum" in schema:
        return " or ".join(map(in_yaml, schema.get("enum", [schema.get("const")])))
    if schema["type"] == "array":
        entries = schema.get("prefixItems", [schema.get("items", {})])
        counts = _counts(schema.get("minItems"), schema.get("maxItems"))
        return f"a list{counts and f' of {counts} entries'}, each of them {_words(entries[0], sections)}"
    if schema["type"] == "object":
        inner = schema.get("additionalProperties")
        return "a table {NAME: VALUE}" + (f", each VALUE {_words(inner, sections)}" if isinstance(inner, dict) else "")
    limits = [text.format(schema[name]) for name, text in _LIMITS if name in schema]
    return ", ".join([_KINDS[schema["type"]], *([" and ".join(limits)] if limits else [])])


def _counts(least: int | None, most: int | None) -> str:
    """Write how many entries a list may have: `2`, `2 or 3`, `1 to 255`, `at most 4`; nothing where that is open."""
    if most is None:
        return ""
    if least is None:
        return f"at most {most}"
    return " or ".join(map(str, range(least, most + 1))) if most <= least + 2 else f"{least} to {most}"
