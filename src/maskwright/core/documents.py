"""JSON, YAML and XML files of the user's, parsed into plain types. Knows no plan and no format of data."""

from __future__ import annotations

import codecs
import json
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree
from xml.parsers.expat import errors

import yaml

from maskwright.core import yaml_text
from maskwright.core.errors import MaskwrightError
from maskwright.core.files import read_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_XML_ENDS = {errors.codes[message] for message in (errors.XML_ERROR_NO_ELEMENTS, errors.XML_ERROR_UNCLOSED_TOKEN)}


def parsed_json(path: Path) -> Any:
    """Parse a JSON file.

    Raises:
        MaskwrightError: it cannot be read, is not JSON, or is nested too deeply.
    """
    return _parsed(path, "JSON", json.loads)


def parsed_yaml(path: Path) -> Any:
    """Parse a YAML 1.1 file.

    Raises:
        MaskwrightError: it cannot be read, is not YAML, holds a date that does not exist, or is nested too deeply.
    """
    return _parsed(path, "YAML", yaml.safe_load)


def parsed_xml(path: Path) -> ElementTree.Element:
    """Parse an XML file, in the encoding of its byte order mark, or else in the one that it declares.

    Raises:
        MaskwrightError: it cannot be read, or is not XML.
    """
    content: str | bytes = path.read_bytes()
    if content[:2] in {codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE}:
        content = read_text(path)
    try:
        return ElementTree.fromstring(content)  # noqa: S314 (expat limits how far entities grow)
    except ElementTree.ParseError as error:
        if error.code in _XML_ENDS:
            raise MaskwrightError(f"{path} is cut off (its XML does not end): export or copy it again") from None
        reason = f"line {error.position[0]}, column {error.position[1] + 1}: {errors.messages[error.code]}"
    except ValueError as error:  # an encoding that Python does not know
        reason = str(error)
    raise MaskwrightError(f"{path} cannot be read as XML ({reason}): export it again, or save it as UTF-8")


def _parsed(path: Path, kind: str, load: Callable[[str], Any]) -> Any:
    try:
        return load(read_text(path))
    except yaml.YAMLError as error:
        reason = yaml_text.fault(error)
    except json.JSONDecodeError as error:
        if not error.doc.strip():
            raise MaskwrightError(f"{path} is empty: export or copy it again") from None
        if error.pos >= len(error.doc.rstrip()) or not error.doc.rstrip().endswith(("}", "]")):
            raise MaskwrightError(f"{path} is cut off (its JSON does not end): export or copy it again") from None
        reason = f"line {error.lineno}, column {error.colno}: {error.msg[0].lower()}{error.msg[1:].removesuffix(' at')}"
    except ValueError as error:  # a date that does not exist, a number with too many digits
        reason = str(error)
    except RecursionError:
        reason = "it is nested too deeply"
    raise MaskwrightError(f"{path} cannot be read as {kind} ({reason}): correct it, or export it again")
