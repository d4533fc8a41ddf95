"""Import, then predict: from another library's folder to masks, through the front doors."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from tests.workflows import toy_data as toy

import maskwright as mw
from maskwright.cli.main import run
from maskwright.core.errors import MaskwrightError
from maskwright.workflows.import_ import read_names

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
NAMES = ["ground", "disc", "square"]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    smp = pytest.importorskip("segmentation_models_pytorch", reason="the judge is in the extra `dev`")
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("smp") / "unet"
    smp.Unet("tu-resnet10t", encoder_weights=None, classes=3, decoder_channels=(8, 8, 8, 8, 8)).save_pretrained(folder)
    return folder


def test_the_command_line_imports_and_predicts(saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, data = tmp_path / "mine.safetensors", toy.write(tmp_path / "data", {"test": 1})
    names = tmp_path / "names.txt"
    names.write_text("\n".join(NAMES) + "\n", encoding="utf-8")
    assert run(["import", f"smp:{saved}", "--classes", str(names), "--out", str(model), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["card"]["classes"]["names"] == NAMES
    assert document["card"]["summary"]["imported"]["source"] == f"smp:{saved}"
    assert run(["predict", str(model), str(data / "images"), "--out", str(tmp_path / "out")]) == 0
    assert len(list((tmp_path / "out/masks").rglob("*.png"))) == 1


def test_python_imports_and_predicts_as_the_library_does(saved: Path, tmp_path: Path) -> None:
    import segmentation_models_pytorch as smp

    result = mw.import_model(f"smp:{saved}", tmp_path / "m.safetensors", classes=", ".join(NAMES))
    assert result.card.classes.names == NAMES
    assert result.card.summary["imported"]["notes"] == []
    image = toy.picture(0)[0][:32, :64]
    probabilities = mw.load(result.path).predict(image).maps
    reference = smp.from_pretrained(saved).eval()
    mean, std = (255 * torch.tensor(value) for value in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    with torch.no_grad():
        expected = reference(((torch.tensor(image) - mean) / std).permute(2, 0, 1)[None].float()).softmax(1)[0]
    np.testing.assert_allclose(probabilities, expected.numpy(), atol=1e-4)


def test_names_that_nobody_gave_are_owned_up_to(
    saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["import", f"smp:{saved}", "--out", str(tmp_path / "m.safetensors")]) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "class_0 to class_2: give names with --classes" in said


def test_a_list_of_names_and_a_missing_file_are_told_apart(
    saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ["--out", str(tmp_path / "m.safetensors")]
    assert run(["import", f"smp:{saved}", "--classes", ", ".join(NAMES), *out]) == 0
    assert "is now" in capsys.readouterr().out
    assert run(["import", f"smp:{saved}", "--classes", "nowhere.txt", *out]) == 2
    assert "nowhere.txt cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\n \n", "has no class names"),
        ("Straße".encode("cp1252"), r"is not UTF-8 text \(byte 0xdf in line 1\): save it as UTF-8"),
        (b"a\nb\na\n", r"names\.txt: the class name 'a' occurs twice"),
    ],
)
def test_a_file_of_names_that_is_none_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "names.txt").write_bytes(content)
    with pytest.raises(MaskwrightError, match=message):
        read_names(tmp_path / "names.txt")


def test_a_place_that_cannot_be_written_is_refused_before_any_weights_are_fetched(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MaskwrightError, match=r"cannot be created, because .*file is a file: choose another `out`"):
        mw.import_model("torchvision:fcn_resnet50", tmp_path / "file" / "model.safetensors")


def test_a_model_file_needs_its_ending(tmp_path: Path) -> None:
    with pytest.raises(MaskwrightError, match=r"end it in \.safetensors"):
        mw.import_model("torchvision:fcn_resnet50", tmp_path / "model.pt")
