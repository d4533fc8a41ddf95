"""The plan as text: `plan.yaml` and `--set section.key=value`. An unknown key is refused, the nearest one named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml
from pydantic import BaseModel, ValidationError

from maskwright.core.errors import MaskwrightError, unknown_name
from maskwright.core.files import write_text
from maskwright.core.plan import Plan

if TYPE_CHECKING:
    from pathlib import Path


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
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "plan"
        if first["type"] == "extra_forbidden":
            known = _section(first["loc"][:-1]).model_fields
            raise MaskwrightError(
                f"{source}: {where}: {unknown_name('key of the plan', str(first['loc'][-1]), known)}"
            ) from None
        raise MaskwrightError(f"{source}: {where} is {first['input']!r}: {first['msg']}") from None


def overridden(plan: Plan, settings: list[str]) -> Plan:
    """Apply `--set` options: `section.key=value`, the value in YAML.

    Raises:
        MaskwrightError: no `=`, an unknown key or a value outside its rule.
    """
    values = plan.model_dump(mode="json")
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise MaskwrightError(f"--set {setting}: write it as section.key=value, e.g. --set optim.lr=3e-4")
        *path, last = key.strip().split(".")
        target = values
        for part in path:
            target = target.setdefault(part, {})
            if not isinstance(target, dict):
                raise MaskwrightError(f"--set {setting}: {part!r} holds a value and no keys of its own")
        target[last] = _yaml_value(text)
        values["reasons"][key.strip()] = "set by hand"
        plan = validated(values, f"--set {setting}")
    return plan


def read_plan(path: Path) -> Plan:
    """Read `plan.yaml`.

    Raises:
        MaskwrightError: missing, no YAML, an unknown key or a value outside its rule.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MaskwrightError(f"{path} does not exist: give a plan.yaml or a run folder that holds one") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise MaskwrightError(f"{path} cannot be read as YAML: {error}") from None
    if not isinstance(values, dict):
        raise MaskwrightError(f"{path} holds {type(values).__name__}, not the sections of a plan")
    return validated(values, str(path))


def write_plan(path: Path, plan: Plan) -> None:
    """Write `plan.yaml` atomically."""
    write_text(path, yaml.safe_dump(plan.model_dump(mode="json"), sort_keys=False, width=110, allow_unicode=True))


def _yaml_value(text: str) -> Any:
    """Read one value; YAML 1.1 takes `3e-4` for text, people do not."""
    try:
        return float(text) if text.lower().count("e") == 1 and text[:1] in "+-.0123456789" else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError):
        return text


def _section(location: tuple[int | str, ...]) -> type[BaseModel]:
    """Return the model class at a place such as ("optim",)."""
    model: type[BaseModel] = Plan
    for part in location:
        annotation = model.model_fields[str(part)].annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            model = annotation
    return model
