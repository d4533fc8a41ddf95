"""What happens to the network while its graph is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from maskwright.exporting.graph import to_onnx
from maskwright.models import bundle

if TYPE_CHECKING:
    from pathlib import Path


def test_activations_are_written_out_of_place_and_are_as_before_afterwards(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    segmenter, card = bundle.load(run / "model.safetensors")
    layers = [layer for layer in segmenter.modules() if hasattr(layer, "inplace")]
    before = [layer.inplace for layer in layers]
    assert True in before
    seen: list[bool] = []

    def failing(*_: Any, **__: Any) -> None:
        seen.extend(bool(layer.inplace) for layer in layers)
        raise KeyboardInterrupt

    monkeypatch.setattr(torch.onnx, "export", failing)
    with pytest.raises(KeyboardInterrupt):
        to_onnx(segmenter, card)
    assert not any(seen)
    assert [layer.inplace for layer in layers] == before


def test_the_free_sizes_have_names_that_a_reader_of_the_file_understands(run: Path) -> None:
    model, _ = to_onnx(*bundle.load(run / "model.safetensors"))
    image, maps = (
        [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]
        for value in (model.graph.input[0], model.graph.output[0])
    )
    assert image == ["batch", "height", "width", 3]
    assert maps[0] == "batch"
    assert "height" in maps[2]
    assert "width" in maps[3]
