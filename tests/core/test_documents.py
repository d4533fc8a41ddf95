"""JSON and YAML files: whatever is wrong with one is told with its path."""

from __future__ import annotations

import pytest

from maskwright.core.documents import parsed_json, parsed_yaml
from maskwright.core.errors import MaskwrightError


@pytest.mark.parametrize(
    ("parse", "text", "words"),
    [
        (parsed_json, '{"a": 1, b: 2}', r"as JSON \(line 1, column 10: expecting property name [^\n]*\): correct it"),
        (parsed_json, "[" * 200_000, r"as JSON \(it is nested too deeply\)"),
        (parsed_json, "1" * 5000, "as JSON"),
        (parsed_yaml, "a: [1\n", r"as YAML \(line 2: [^\n]*\): correct it"),
        (parsed_yaml, "[" * 5000, r"as YAML \(it is nested too deeply\)"),
        (parsed_yaml, "date: 2024-13-45", r"as YAML \(month must be in 1..12"),
    ],
)
def test_what_is_no_document_is_told(tmp_path, parse, text, words):
    (tmp_path / "file").write_text(text)
    with pytest.raises(MaskwrightError, match="file cannot be read " + words):
        parse(tmp_path / "file")


def test_documents(tmp_path):
    (tmp_path / "file").write_text('{"a": [1, null]}', encoding="utf-8-sig")
    assert parsed_json(tmp_path / "file") == parsed_yaml(tmp_path / "file") == {"a": [1, None]}


@pytest.mark.parametrize("text", ["", " \n"])
def test_a_json_file_that_is_empty(tmp_path, text):
    (tmp_path / "file").write_text(text)
    with pytest.raises(MaskwrightError, match="file is empty: export or copy it again"):
        parsed_json(tmp_path / "file")


@pytest.mark.parametrize("text", ["{", '{"a": [1, 2', '{"a": {}', '{"a": "b'])
def test_json_that_is_cut_off(tmp_path, text):
    (tmp_path / "file").write_text(text)
    with pytest.raises(MaskwrightError, match=r"file is cut off \(its JSON does not end\): export or copy it again"):
        parsed_json(tmp_path / "file")
