"""What an export is asked for, what it refuses, and where it writes."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("openvino")
pytest.importorskip("nncf")

from tests.workflows import toy_data as toy

import maskwright as mw
from maskwright.cli.main import run as command
from maskwright.core import resources
from maskwright.core.errors import MaskwrightError
from maskwright.workflows import export as workflow

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Edit

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"to": "onx"}, "onnx"),
        ({"to": "torch", "int8": True}, "int8 needs the target onnx or openvino, and the target is torch"),
        ({"allow_loss": -1}, "`allow_loss` is -1, and it must be 0 or more points"),
        ({"allow_loss": float("nan")}, "`allow_loss` is nan"),
        ({"target": "onnx"}, "target"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(MaskwrightError, match=message):
        mw.export("run", **fields)


def test_the_folder_is_named_after_what_is_in_it() -> None:
    assert mw.ExportRequest("openvino", int8=True, half=True).name == "openvino-int8-half"


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").touch()
    for place in (tmp_path / "elsewhere", tmp_path / "model.safetensors"):
        with pytest.raises(MaskwrightError, match=f"^{place} is not the folder of a finished run"):
            mw.export(place)


def test_data_that_moved_are_asked_for(run: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(run, tmp_path / "run", ignore=shutil.ignore_patterns("exports"))
    (copy / "data.json").write_text(json.dumps({"root": str(tmp_path / "gone")}))
    with pytest.raises(MaskwrightError, match="gone is not there any more: give its place with `data`"):
        mw.export(copy)


def test_int8_without_validation_images_is_refused(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = workflow.opened

    def without(*arguments: Any) -> Any:
        found = opened(*arguments)
        records = tuple(record for record in found.dataset.records if record.split != "val")
        return replace(found, dataset=replace(found.dataset, records=records))

    monkeypatch.setattr(workflow, "opened", without)
    with pytest.raises(MaskwrightError, match=r"int8 takes its ranges from real validation images, and .* has none"):
        mw.export(run, int8=True, out=tmp_path / "out")


def test_other_files_are_not_replaced(run: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(MaskwrightError, match="holds other files: choose another `out`"):
        mw.export(run, out=tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_an_earlier_export_is_replaced(run: Path, faulty: list[Edit], tmp_path: Path) -> None:
    out = tmp_path / "out"
    mw.export(run, to="openvino", out=out)
    (out / "parity.json").write_text("{}")
    mw.export(run, to="torch", half=True, out=str(out))
    assert sorted(file.name for file in out.iterdir()) == [
        "data.json",
        "model.safetensors",
        "parity.json",
        "split.json",
    ]
    assert (out / "split.json").read_bytes() == (run / "split.json").read_bytes()  # which images the training saw
    assert json.loads((out / "parity.json").read_text())["metric"] == "IoU"
    assert list(tmp_path.iterdir()) == [out]


def test_reports_beside_an_earlier_export_are_kept(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    mw.export(run, to="torch", half=True, out=out)
    (out / "report-test.html").write_text("scores")
    mw.export(run, to="torch", out=out)
    assert (out / "report-test.html").read_text() == "scores"


def test_the_report_of_the_run_shows_all_exports(run: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(run, tmp_path / "run", ignore=shutil.ignore_patterns("exports"))
    mw.export(copy, to="torch", half=True)
    result = mw.export(copy, to="torch")
    assert result.table is not None
    assert [row.name for row in result.table.rows] == ["trained", "torch", "torch-half"]
    assert sum(row.fastest for row in result.table.rows) == 1
    assert result.table.rows[1].labels == 1
    page = (copy / "report.html").read_text()
    assert page.count("Exports</h2>") == 1
    assert page.count("fastest here") == 1
    for word in ("torch-half", "100.00 %", "{} x {}".format(*result.parity.tile)):
        assert word in page
    assert not any("no place for the table" in note for note in result.notes)
    (copy / "report.html").write_text("<html></html>")
    assert any("no place for the table" in note for note in mw.export(copy, to="torch").notes)


def test_the_hash_of_the_model_is_kept(run: Path, tmp_path: Path) -> None:
    mw.export(run, to="torch", out=tmp_path / "out")
    origin = json.loads((tmp_path / "out/parity.json").read_text())["model_sha256"]
    assert origin == hashlib.sha256((run / "model.safetensors").read_bytes()).hexdigest()


@pytest.mark.parametrize("able", [True, False])
def test_int8_without_its_instructions_is_noted(
    run: Path, faulty: list[Edit], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, able: bool
) -> None:
    monkeypatch.setattr(resources, "multiplies_int8", lambda: able)
    monkeypatch.setattr(resources, "multiplies_bfloat16", lambda: able)
    result = mw.export(run, to="openvino", int8=True, allow_loss=3, out=tmp_path / "out")
    assert any("does not multiply 8-bit integers in hardware" in note for note in result.notes) is not able
    assert (json.loads((tmp_path / "out/parity.json").read_text())["bfloat16"] is not None) is able


def test_weights_of_half_the_bytes_for_torch(run: Path, tmp_path: Path) -> None:
    parity = mw.export(run, to="torch", half=True, out=tmp_path / "out").parity
    assert parity.exported.bytes < 0.75 * parity.trained.bytes
    assert 0 < parity.agreement.largest < 0.02


def test_the_command_line_exports_and_predicts(
    run: Path, faulty: list[Edit], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = shutil.copytree(run, tmp_path / "run", ignore=shutil.ignore_patterns("exports"))
    assert command(["export", str(copy), "--to", "onnx", "--data", str(run.parent / "data"), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["file"] == str(copy / "exports/onnx/model.onnx")
    assert answer["parity"]["agreement"] == {
        "images": 2,
        "labels": 1.0,
        "largest": pytest.approx(0, abs=1e-4),
        "objects": False,
    }
    assert answer["kept"] == []
    assert "compared on images of the test part" in answer["notes"]
    images = str(run.parent / "data/images/test")
    assert command(["predict", str(copy), images, "--engine", "onnx", "--out", str(tmp_path / "masks")]) == 0
    assert len(list((tmp_path / "masks").rglob("*.png"))) == toy.COUNTS["test"]


def test_the_command_line_prints_a_table(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["export", str(run), "--to", "torch", "--out", str(tmp_path / "out")]) == 0
    shown = capsys.readouterr()
    assert "100.000 %, 2 images at two sizes" in shown.out
    lines = shown.out.splitlines()  # to be pasted, however narrow the terminal is
    assert lines[-2:] == [
        f"export   {tmp_path / 'out/model.safetensors'}",
        f"use it   maskwright predict {tmp_path / 'out'} IMAGES",
    ]
    assert len(lines[-1]) > 80
    assert "note: compared on images of the test part" in shown.err
    assert "write: the network for torch\ncompare: the maps of 2 images, and the score of 2\n" in shown.err


def test_a_refused_export_ends_with_code_2(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["export", str(run), "--to", "torch", "--int8"]) == 2
    assert "int8 needs the target onnx or openvino" in capsys.readouterr().err
