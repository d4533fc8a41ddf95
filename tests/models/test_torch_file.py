"""Files of torch.save are read as data: `torch.load(weights_only=True)` is the judge, and nothing in them runs."""

from __future__ import annotations

import argparse
import os
import pickle
import zipfile
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from maskwright.core.errors import MaskwrightError
from maskwright.models.importers import import_model
from maskwright.models.weights import read_tensors
from maskwright.models.weights.pickle_reader import KINDS

if TYPE_CHECKING:
    from pathlib import Path

LEGACY = {"_use_new_zipfile_serialization": False}
FORMATS = [{}, LEGACY, {"pickle_protocol": 4}, {**LEGACY, "pickle_protocol": 4}]
NETWORKS = [
    ("fcn_resnet50", {"aux_loss": True}),
    ("fcn_resnet101", {}),
    ("deeplabv3_resnet50", {}),
    ("deeplabv3_resnet101", {"aux_loss": True}),
    ("lraspp_mobilenet_v3_large", {}),
]


def same(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
    assert list(ours) == list(theirs)
    for name, tensor in theirs.items():
        assert ours[name].dtype is tensor.dtype
        assert ours[name].stride() == tensor.stride()
        assert torch.equal(ours[name], tensor)


def judged(path: Path) -> dict[str, Tensor]:
    """Read a file, compare with torch's own reading of it, and return ours."""
    found = read_tensors(path)
    same(found, torch.load(path, weights_only=True))
    return found


@pytest.mark.parametrize("settings", FORMATS)
def test_dtypes_views_and_shared_storages(tmp_path: Path, settings: dict[str, Any]) -> None:
    base = torch.randn(5, 6)
    state = OrderedDict((name, torch.arange(5).to(getattr(torch, name))) for name in KINDS.values())
    state |= {"base": base, "turned": base.T, "corner": base[2:4, 1:6:2], "wide": base[:1, :1].expand(4, 3)}
    state |= {"scalar": torch.tensor(3.5), "none": torch.empty(0, 4), "weight": nn.Parameter(torch.ones(2))}
    torch.save(state, tmp_path / "w.pth", **settings)
    # The judge knows protocol 2 alone.
    found = read_tensors(tmp_path / "w.pth") if "pickle_protocol" in settings else judged(tmp_path / "w.pth")
    same(found, state)
    found["base"][2, 1] = 7
    assert found["corner"][0, 0] == 7, "one storage stays one"


@pytest.mark.parametrize("settings", FORMATS[:2])
def test_a_modules_state_and_its_metadata(tmp_path: Path, settings: dict[str, Any]) -> None:
    state = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).state_dict()
    assert "_metadata" in vars(state)
    torch.save(state, tmp_path / "w.bin", **settings)
    same(judged(tmp_path / "w.bin"), state)


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize(("name", "options"), NETWORKS)
def test_torchvisions_networks_are_imported(tmp_path: Path, name: str, options: dict[str, Any], legacy: bool) -> None:
    build = getattr(pytest.importorskip("torchvision").models.segmentation, name)
    state = build(weights=None, weights_backbone=None, num_classes=2, **options).state_dict()
    torch.save(state, tmp_path / "w.pth", **(LEGACY if legacy else {}))
    judged(tmp_path / "w.pth")
    _, card = import_model(f"torchvision:{name}", tmp_path / "w.pth", ["ground", "road"])
    assert card.classes.names == ["ground", "road"]


def rewritten(path: Path, changes: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    """Write a zip archive anew with some of its entries changed."""
    target = path.with_name("changed.pth")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w", compression) as new:
        for name in {**dict.fromkeys(old.namelist()), **{f"w/{key}": None for key in changes}}:
            content = changes.get(name.partition("/")[2])
            new.writestr(name, old.read(name) if content is None else content)
    return target


def test_numbers_of_a_big_endian_machine_are_turned(tmp_path: Path) -> None:
    torch.save({"x": torch.tensor([1.5, -2.0])}, tmp_path / "w.pth")
    turned = torch.tensor([1.5, -2.0]).numpy().astype(">f4").tobytes()
    found = judged(rewritten(tmp_path / "w.pth", {"data/0": turned, "byteorder": b"big"}))
    assert found["x"].tolist() == [1.5, -2.0]


@settings(max_examples=40)
@given(st.data(), st.sampled_from(sorted(KINDS.values())), st.lists(st.integers(0, 4), max_size=4), st.booleans())
def test_any_view_of_any_shape(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, dtype: str, shape: list[int], legacy: bool
) -> None:
    whole = torch.randint(0, 2, shape).to(getattr(torch, dtype))
    view = whole.permute(data.draw(st.permutations(range(len(shape)))))
    view = view[
        tuple(slice(data.draw(st.integers(0, size)), None, data.draw(st.integers(1, 3))) for size in view.shape)
    ]
    path = tmp_path_factory.mktemp("view") / "w.pt"
    torch.save({"view": view, "whole": whole}, path, **(LEGACY if legacy else {}))
    judged(path)


class Bomb:
    """Writes a file as soon as it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.command = f"touch {target}"

    def __reduce__(self) -> Any:
        return os.system, (self.command,)


@pytest.mark.parametrize("settings", FORMATS)
def test_a_program_is_refused_by_its_name_and_never_run(tmp_path: Path, settings: dict[str, Any]) -> None:
    torch.save({"x": torch.ones(1), "y": Bomb(tmp_path / "ran")}, tmp_path / "w.pth", **settings)
    with pytest.raises(
        MaskwrightError, match=r"w\.pth contains (posix|nt)\.system, and maskwright runs no code .*save_file"
    ):
        read_tensors(tmp_path / "w.pth")
    assert not (tmp_path / "ran").exists()


def test_a_pickle_of_nothing_but_beginnings_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "w.pth").write_bytes(b"(" * 5_000_000)
    with pytest.raises(MaskwrightError, match="contains more than 1000 nested objects"):
        read_tensors(tmp_path / "w.pth")


@pytest.mark.parametrize("protocol", range(5))
def test_a_bare_pickle_is_no_file_of_weights(tmp_path: Path, protocol: int) -> None:
    (tmp_path / "w.pkl").write_bytes(pickle.dumps(Bomb(tmp_path / "ran"), protocol))
    with pytest.raises(MaskwrightError, match=r"w\.pkl contains "):
        read_tensors(tmp_path / "w.pkl")
    assert not (tmp_path / "ran").exists()


def test_a_checkpoint_with_one_state_dict_is_that_state_dict(tmp_path: Path) -> None:
    state, optimiser = {"x": torch.ones(2)}, {"state": {0: {"step": torch.ones(1)}}, "lr": [0.1, None, True, -5]}
    for options in FORMATS:
        torch.save({"optimizer": optimiser, "model": state, "epoch": 3}, tmp_path / "w.pth", **options)
        same(read_tensors(tmp_path / "w.pth"), state)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"a": {"x": torch.ones(1)}, "b": {"x": torch.ones(1)}}, "contains 2 dictionaries of named tensors"),
        ({"epoch": 3}, "contains no dictionaries of named tensors"),
        (torch.ones(1), "contains no dictionaries of named tensors"),
        ({"x": torch.ones(1), "args": argparse.Namespace(lr=1)}, r"contains argparse\.Namespace"),
        (nn.Linear(1, 1), r"contains torch\.nn\.modules\.linear\.Linear"),
        ({"x": torch.ones(1, dtype=torch.complex64)}, r"contains torch\.ComplexFloatStorage"),
        ({"x": torch.ones(2).to_sparse()}, r"contains torch\._utils\._rebuild_sparse_tensor"),
        ({"x": torch.ones(1, 1).expand(9, 7)}, r"contains x, which repeats .* as a tensor of size \[9, 7\]"),
        ({"x": torch.ones(2), "y": {3}}, "contains (the opcode|builtins|__builtin__)"),
    ],
)
def test_what_is_no_state_dict_is_named(tmp_path: Path, content: Any, message: str) -> None:
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(MaskwrightError, match=message):
        read_tensors(tmp_path / "w.pth")


@pytest.mark.parametrize("options", FORMATS[:2])
def test_a_file_that_was_cut_or_changed_never_does_worse_than_say_so(tmp_path: Path, options: dict[str, Any]) -> None:
    path = tmp_path / "w.pth"
    torch.save({"x": torch.ones(3), "y": torch.ones(2, 2).T}, path, **options)
    whole = path.read_bytes()
    for length in range(0, len(whole) - 1, 7):
        path.write_bytes(whole[:length])
        with pytest.raises(MaskwrightError, match=r"not a complete file of torch\.save"):
            read_tensors(path)
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        try:
            found = read_tensors(path)
        except MaskwrightError as error:
            assert "w.pth" in str(error)  # noqa: PT017 - either outcome is right
        else:
            assert all(isinstance(tensor, Tensor) for tensor in found.values())


def reaching(tmp_path: Path, old: bytes, new: bytes) -> Path:
    """Write a tensor of six elements whose description says something else."""
    torch.save({"x": torch.arange(6.0).reshape(2, 3)}, tmp_path / "w.pth")
    with zipfile.ZipFile(tmp_path / "w.pth") as archive:
        written = archive.read("w/data.pkl")
    assert written.count(old) == 1
    return rewritten(tmp_path / "w.pth", {"data.pkl": written.replace(old, new)})


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"K\x02K\x03\x86", b"K\x02K\x04\x86", "x extends beyond its storage"),
        (b"K\x03K\x01\x86", b"K\x04K\x01\x86", "x extends beyond its storage"),
        (b"K\x03K\x01\x86", b"K\x03J\xff\xff\xff\xff\x86", "an invalid size or stride"),
        (b"K\x02K\x03\x86", b"K\x02K\x03K\x01\x87", "an invalid size or stride"),
        (b"K\x02K\x03\x86", b"K\x02K\x03\x86K\x00\x86", r"a call of torch\._utils\._rebuild_tensor_v2"),
        (b"K\x06", b"K\x07", "has 24 bytes and should have 7 elements"),
    ],
)
def test_no_tensor_reaches_beyond_its_storage(tmp_path: Path, old: bytes, new: bytes, message: str) -> None:
    with pytest.raises(MaskwrightError, match=message):
        read_tensors(reaching(tmp_path, old, new))


def test_compressed_parts_and_strange_orders_are_refused(tmp_path: Path) -> None:
    torch.save({"x": torch.ones(2)}, tmp_path / "w.pth")
    with pytest.raises(MaskwrightError, match="compressed parts"):
        read_tensors(rewritten(tmp_path / "w.pth", {}, zipfile.ZIP_DEFLATED))
    with pytest.raises(MaskwrightError, match="byte order 'middle'"):
        read_tensors(rewritten(tmp_path / "w.pth", {"byteorder": b"middle"}))


def test_parts_on_top_of_one_another_are_refused(tmp_path: Path) -> None:
    torch.save({"x": torch.ones(4096), "y": torch.ones(4096)}, tmp_path / "w.pth")
    with zipfile.ZipFile(tmp_path / "w.pth") as archive:
        first, second = (archive.getinfo(f"w/data/{key}").header_offset for key in (0, 1))
    whole = (tmp_path / "w.pth").read_bytes()
    assert whole.count(second.to_bytes(4, "little")) == 1, "in the list of parts alone"
    twice = whole.replace(second.to_bytes(4, "little"), first.to_bytes(4, "little"))
    (tmp_path / "w.pth").write_bytes(twice[:second] + twice[second + 16384 :])
    with pytest.raises(MaskwrightError, match="overlapping parts"):
        read_tensors(tmp_path / "w.pth")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(MaskwrightError, match=r"none\.pth does not exist"):
        read_tensors(tmp_path / "none.pth")
