"""The plan as text: `plan.yaml`, and settings `section.key=value`. Refuses unknown keys and names the nearest one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from maskwright.core import yaml_text
from maskwright.core.errors import MaskwrightError, plainly, unknown_name
from maskwright.core.files import read_text, write_text
from maskwright.core.plan import DataPlan, Plan
from maskwright.core.plan_schema import in_yaml, keys_called, place_at

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from pydantic_core import ErrorDetails

BY_HAND = "set by hand"
FILE_NAME = "plan.yaml"
_ANEW = "correct it, or let `maskwright plan DATA --out plan.yaml` write one"
_LONGEST = 80


def validated(values: dict[str, Any], source: str) -> Plan:
    """Check plain values against the plan.

    Args:
        values: nested plain types, as read from YAML.
        source: file or option that they come from, for the message.

    Raises:
        MaskwrightError: an unknown key (the nearest known one is named) or a value outside its rule.
    """
    try:
        return Plan.model_validate(values)
    except ValidationError as error:
        raise _refusal(error.errors()[0], f"{source}: ", _as_yaml) from None


def overridden(plan: Plan, settings: Sequence[str], given: Mapping[str, Any] | None = None) -> Plan:
    """Apply values of the user, all of them, and only then check the whole.

    With another number of `data.channels`, values per channel that are not set along go back to their defaults.

    Args:
        plan: what they override.
        settings: `section.key=value` with the value in YAML.
        given: dotted key -> value; `settings` beat them.

    Raises:
        MaskwrightError: no `=`, an unknown key or a value outside its rule; its `key` is the one at fault.
    """
    values = plan.model_dump(mode="json")
    wanted: list[tuple[str, Any, str]] = [(key, value, f"{key}={value}") for key, value in (given or {}).items()]
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise MaskwrightError(f"`{setting}` is not a setting: write section.key=value, e.g. `optim.lr=3e-4`")
        if not text.strip():
            raise MaskwrightError(f"`{setting}` has no value: write one, null if there should be none", key.strip())
        wanted.append((key.strip(), yaml_value(text), setting))
    for key, value, setting in wanted:
        _put(values, key, value, setting)
        values["reasons"][key] = BY_HAND
    keys = [key for key, _, _ in wanted]
    if "data.channels" in keys:
        _fit_channels(values["data"], plan.data.channels, keys)
    try:
        return Plan.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        guilty = next((key for key in reversed(keys) if meets(key, where)), None)
        if guilty is None and keys:  # a rule about several keys names them itself
            guilty = next((key for key in reversed(keys) if key in plainly(first["msg"])), keys[-1])
        raise _refusal(first, "", _as_setting, guilty) from None


def read_plan(path: Path) -> Plan:
    """Read `plan.yaml`, or the one in a run folder. What it names can be told from the rest by `named`.

    Raises:
        MaskwrightError: missing, no YAML, an unknown key or a value outside its rule.
    """
    path = path / FILE_NAME if path.is_dir() else path
    if not path.exists():
        raise MaskwrightError(f"{path} does not exist: give a plan.yaml or a run folder that holds one")
    text = read_text(path)
    try:
        values = yaml_text.load(text)
    except yaml_text.YAMLError as error:
        raise MaskwrightError(f"{path} cannot be read as YAML ({yaml_text.fault(error)}): {_ANEW}") from None
    if values is None:
        raise MaskwrightError(f"{path} is empty: {_ANEW}")
    if not isinstance(values, dict):
        raise MaskwrightError(
            f"{path} holds {type(values).__name__}, not the sections of a plan such as `optim: {{lr: 0.002}}`: {_ANEW}"
        )
    return validated(values, str(path))


def named(plan: Plan) -> frozenset[str]:
    """Return the dotted keys (`optim.lr`) that a plan was made with; the others have their defaults."""
    sections = {name: getattr(plan, name) for name in plan.model_fields_set}
    return frozenset(
        f"{name}.{key}"
        for name, section in sections.items()
        if isinstance(section, BaseModel)
        for key in section.model_fields_set
    )


def meets(key: str, where: str) -> bool:
    """Whether a setting's key and the place of an error lie on one path."""
    return f"{where}.".startswith(f"{key}.") or f"{key}.".startswith(f"{where}.")


def yaml_value(text: str) -> Any:
    """Read the value of a setting; what is not YAML is text."""
    try:
        return yaml_text.load(text)
    except yaml_text.YAMLError:
        return text


def set_keys(settings: Sequence[str]) -> set[str]:
    """Return the dotted keys that settings name, those inside of a whole section too.

    >>> sorted(set_keys(["seed=1", "loss={auxiliary: 0.3}"]))
    ['loss.auxiliary', 'seed']
    """
    found = set()
    for setting in settings:
        key, _, text = setting.partition("=")
        value = yaml_value(text)
        inner = [f".{name}" for name in value] if isinstance(value, dict) else [""]
        found |= {f"{key.strip()}{name}" for name in inner}
    return found


def write_plan(path: Path, plan: Plan) -> None:
    """Write `plan.yaml` atomically."""
    write_text(path, yaml_text.dump(plan.model_dump(mode="json"), width=110, allow_unicode=True))


def _put(values: dict[str, Any], key: str, value: Any, setting: str) -> None:
    target = values
    *path, last = key.split(".")
    if key.partition(".")[0] == "reasons":
        raise MaskwrightError(f"`{setting}`: planning writes the reasons, and they have no effect: leave it out")
    for part in path:
        if target.get(part) is None:  # a section that may be absent begins with its defaults
            target[part] = {}
        target = target[part]
        if not isinstance(target, dict):
            raise MaskwrightError(f"`{setting}`: {part!r} holds a value and has no keys: shorten the key")
    target[last] = value


def _fit_channels(data: dict[str, Any], before: int, keys: list[str]) -> None:
    """Give mean, std and range one entry a channel, where the user did not; planning measures them anew."""
    channels = data["channels"]
    if channels == before or not isinstance(channels, int) or not 1 <= channels <= 512:
        return
    for name in ("mean", "std"):
        if f"data.{name}" not in keys:
            data[name] = DataPlan.model_fields[name].default[:1] * channels
    if "data.value_range" not in keys:
        data["value_range"] = None


def _refusal(
    first: ErrorDetails, source: str, example: Callable[[str, Any], str], guilty: str | None = None
) -> MaskwrightError:
    """Say in words what pydantic found: the key, its value, the rule, and an example that keeps it."""
    if first["loc"][-1:] == ("[key]",):  # YAML reads 1 and yes as no text
        name = f"{'.'.join(str(part) for part in first['loc'][:-2])} names {first['input']!r}"
        text = f"{source}{name}, and every name must be text: put it in quotes, or leave it out"
        return MaskwrightError(text, guilty)
    location = first["loc"][:-1] if first["type"] == "missing" else first["loc"]  # a list that is too short
    where = ".".join(str(part) for part in location) or "plan"
    if first["type"] == "extra_forbidden":
        return _unknown_key(location, f"{source}{where}", guilty)
    if first["type"] == "value_error":  # ours: it names key, value, rule and cure
        return MaskwrightError(f"{source}{plainly(first['msg'])}", guilty)
    if first["input"] is None and ":" in str(location[-1:]):
        text = f"{source}{where} has no value: YAML needs a space after the colon, as in {{dice: 1}}"
        return MaskwrightError(text, guilty)
    place = place_at(location)
    if isinstance(location[-1], int) and place.words.startswith("a list"):
        where = f"entry {location[-1] + 1} of {'.'.join(str(part) for part in location[:-1])}"
    words = place.words.replace("a number", "a finite number") if first["type"] == "finite_number" else place.words
    cure = "correct it" if place.usual is None else f"write e.g. {example(place.key, place.usual)}"
    text = repr(first["input"])
    value = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
    return MaskwrightError(f"{source}{where} is {value}, and it must be {words}: {cure}, or leave it out", guilty)


def _unknown_key(location: tuple[int | str, ...], where: str, guilty: str | None) -> MaskwrightError:
    name = str(location[-1])
    elsewhere = keys_called(name)
    if elsewhere:
        words = f"{where}: this section has no key {name!r}: did you mean {' or '.join(elsewhere)}?"
        return MaskwrightError(words, guilty)
    return MaskwrightError(f"{where}: {unknown_name('key of the plan', name, place_at(location[:-1]).keys)}", guilty)


def _as_setting(key: str, value: Any) -> str:
    return f"`{key}={in_yaml(value)}`"


def _as_yaml(key: str, value: Any) -> str:
    text = in_yaml(value)
    *sections, last = key.split(".")
    text = f"{last}: {text}"
    for section in reversed(sections):
        text = f"{section}: {{{text}}}"
    return f"`{text}`"
