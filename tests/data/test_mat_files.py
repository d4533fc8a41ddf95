"""MATLAB files of level 5: against SciPy's reader and writer, against MATLAB's own files, and damaged in many ways."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from tests.data.mat_by_hand import CLASSES, Writer

from maskwright.core.errors import MaskwrightError
from maskwright.core.records import ImageRef
from maskwright.data.readers import DecodeError, mat_file
from maskwright.data.readers.mat_file import read_variable, variable_names
from maskwright.data.readers.matlab import may_hold_drawings, read_drawings

EDGES = Path(__file__).parents[3] / "shared/data/edges/truth"
OF_MATLAB = Path(scipy.io.__file__).parent / "matlab/tests/data"
LINES = np.eye(5, 7, dtype=bool)
KINDS = [np.dtype(kind) for kind in CLASSES]
FILES = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)


def read(path: Path, name: str = "x") -> Any:
    return read_variable(ImageRef(path), name)


def of_scipy(path: Path, name: str = "x") -> Any:
    """Read with SciPy, in MATLAB's types."""
    found = scipy.io.loadmat(path, mat_dtype=True, chars_as_strings=False)[name]
    return found.toarray() if scipy.sparse.issparse(found) else found


def assert_same(ours: Any, theirs: Any) -> None:
    """Compare values, and types but for two faults of SciPy: it drops imaginary parts, and types of sparse matrices."""
    if isinstance(ours, dict):
        assert tuple(ours) == (theirs.dtype.names or ())
        for name, values in ours.items():
            assert_same(values, theirs[name])
        return
    assert ours.shape == theirs.shape
    if ours.dtype == object:
        for one, other in zip(ours.flat, theirs.flat, strict=True):
            assert_same(one, other)
        return
    if ours.dtype.kind == "c" and theirs.dtype.kind == "f":
        ours = ours.real
    assert ours.dtype == theirs.dtype.newbyteorder("=") or (ours.dtype, theirs.dtype) == (np.float64, np.uint8)
    np.testing.assert_array_equal(ours, theirs)


# Against another implementation -------------------------------------------------------------------------------------

shapes = arrays.array_shapes(min_dims=2, max_dims=4, min_side=0, max_side=4)
numbers = arrays.arrays(st.sampled_from([*KINDS, np.dtype(bool)]), shapes)
words = st.text(st.characters(max_codepoint=0x2FFF, exclude_categories=["Cs", "Cc"]), min_size=1, max_size=6)


def as_cells(values: list[Any]) -> np.ndarray:
    cells = np.empty((1, len(values)), object)
    for place, value in enumerate(values):
        cells[0, place] = value
    return cells


fields = st.text("abcXYZ_09", min_size=1, max_size=8).map("f{}".format)
values = st.recursive(
    numbers | words,
    lambda inner: st.lists(inner, max_size=3).map(as_cells) | st.dictionaries(fields, inner, min_size=1, max_size=3),
    max_leaves=8,
)


@FILES
@given(value=values, compressed=st.booleans())
def test_what_scipy_writes(tmp_path: Path, value: Any, compressed: bool) -> None:
    path = tmp_path / "x.mat"
    scipy.io.savemat(path, {"before": 1, "x": value, "after": "text"}, do_compression=compressed, long_field_names=True)
    assert variable_names(ImageRef(path)) == ("before", "x", "after")
    assert_same(read(path), of_scipy(path))


@FILES
@given(value=arrays.arrays(st.sampled_from([np.complex64, np.complex128]), shapes), compressed=st.booleans())
def test_complex_numbers(tmp_path: Path, value: np.ndarray, compressed: bool) -> None:
    scipy.io.savemat(tmp_path / "x.mat", {"x": value}, do_compression=compressed)
    np.testing.assert_array_equal(read(tmp_path / "x.mat"), value)
    assert read(tmp_path / "x.mat").dtype == value.dtype


@FILES
@given(value=arrays.arrays(st.sampled_from([np.float64, bool]), st.tuples(st.integers(1, 5), st.integers(1, 5))))
def test_sparse_matrices(tmp_path: Path, value: np.ndarray) -> None:
    scipy.io.savemat(tmp_path / "x.mat", {"x": scipy.sparse.csc_array(value)})
    assert_same(read(tmp_path / "x.mat"), value)


@FILES
@given(data=st.data(), order=st.sampled_from("<>"), compressed=st.booleans(), kind=st.sampled_from(KINDS))
def test_numbers_in_a_smaller_type(
    tmp_path: Path, data: Any, order: str, compressed: bool, kind: np.dtype[Any]
) -> None:
    stored = data.draw(st.sampled_from([each for each in KINDS if np.can_cast(each, kind)]))
    value = data.draw(arrays.arrays(stored, shapes))
    writer = Writer(order)
    matrix = writer.array(value.astype(kind), stored.str[1:], name="x")
    path = writer.save(tmp_path / "x.mat", writer.compressed(matrix) if compressed else matrix)
    assert_same(read(path), value.astype(kind))
    assert_same(read(path), of_scipy(path))


@pytest.mark.parametrize("order", ["<", ">"])
def test_values_by_hand(tmp_path: Path, order: str) -> None:
    writer = Writer(order)
    text = writer.matrix(4, (1, 3), writer.numbers([0x41, 0x3B1, 0x20AC], "u2"))
    parts = [writer.array(np.array([[1, 2], [3, 4]], np.int16)), writer.array(LINES), text, writer.element(14, b"")]
    inner = writer.structure((1, 1), ["deep"], [writer.cells((2, 1), parts[:2])])
    value = writer.cells((5, 1), [*parts, inner], name="x")
    path = writer.save(tmp_path / "x.mat", value)
    whole, lines, letters, empty, deep = read(path).ravel()
    assert (whole.tolist(), whole.dtype) == ([[1, 2], [3, 4]], np.int16)
    assert lines.dtype == bool
    assert np.array_equal(lines, LINES)
    assert "".join(letters[0]) == "A\u03b1\u20ac"
    assert (empty.shape, empty.dtype) == ((0, 0), np.float64)
    assert np.array_equal(deep["deep"][0, 0][1, 0], LINES)
    coding = {"<": "utf-16-le", ">": "utf-16-be"}[order]
    theirs = scipy.io.loadmat(path, mat_dtype=True, chars_as_strings=False, uint16_codec=coding)["x"]
    theirs[3, 0] = theirs[3, 0].reshape(0, 0)  # SciPy gives a value without any element one axis
    assert_same(read(path), theirs)


def test_cells_lie_column_by_column(tmp_path: Path) -> None:
    writer = Writer()
    path = writer.save(tmp_path / "x.mat", writer.cells((2, 2), [writer.array(np.array([[n]])) for n in range(4)], "x"))
    assert [[cell.item() for cell in row] for row in read(path)] == [[0, 2], [1, 3]]


@pytest.mark.parametrize("order", ["<", ">"])
def test_text_beyond_16_bits(tmp_path: Path, order: str) -> None:
    writer, face = Writer(order), "\U0001f600!"
    text = writer.element(16, face.encode())
    path = writer.save(
        tmp_path / "x.mat", writer.matrix(4, (1, 3), text, name="x"), writer.matrix(4, (1, 2), text, name="y")
    )
    assert [hex(ord(unit)) for unit in read(path)[0]] == ["0xd83d", "0xde00", "0x21"]
    assert "".join(read(path, "y")[0]) == face


def test_truth_values_of_matlab_that_are_called_numbers_of_8_bytes(tmp_path: Path) -> None:
    writer = Writer()
    parts = [writer.numbers([1, 0], "i4"), writer.numbers([0, 1, 1, 2], "i4"), writer.element(9, b"\1\1")]
    path = writer.save(tmp_path / "x.mat", writer.matrix(5 | 0x200, (2, 3), *parts, name="x", nonzeros=2))
    assert read(path).tolist() == [[False, False, True], [True, False, False]]


BAD = {
    "bad_miuint32": ("an_array", "an array of 163,840 MiB is more than the 1,024 MiB"),
    "broken_utf8": ("bad_string", "text is not coded as utf-8"),
    "corrupted_zlib_checksum": ("x", "incorrect data check"),
    "corrupted_zlib_data": ("datagrid", "does not end after the 26,832 bytes that it claims"),
    "malformed1": ("x", "a variable at byte 128 claims 658,840 bytes, and 2,072 follow"),
    "nasty_duplicate_fieldnames": ("Summary", "which are not different names"),
}
LEVEL_4 = {"debigged_m4", "test_mat4_le_floats", "testvec_4_GLNX86"}
# SciPy reads a structure without fields as one that is not, and refuses a name that is no ASCII.
ELSE = {"test_empty_struct", "bad_miutf8_array_name"}


def kind_of(path: Path) -> str:
    if "_4.2c" in path.stem or path.stem in LEVEL_4:
        return "level 4"
    if "object" in path.stem or path.stem in {"parabola", "sqr", "some_functions", "testfunc_7.4_GLNX86"}:
        return "objects"
    return "bad" if path.stem in BAD else "else" if "hdf5" in path.stem or path.stem in ELSE else "good"


def of_matlab(kind: str) -> Any:
    """Parametrize over the files, most of them saved by MATLAB, that SciPy tests its reader with."""
    found = [path for path in sorted(OF_MATLAB.glob("*.mat")) if kind_of(path) == kind]
    missing = pytest.param(None, marks=pytest.mark.skip("this SciPy was installed without its tests"))
    return pytest.mark.parametrize("path", found or [missing], ids=lambda path: path.stem if path else "")


@of_matlab("good")
@pytest.mark.filterwarnings("ignore:Casting complex values:numpy.exceptions.ComplexWarning")
def test_files_of_matlab(path: Path) -> None:
    names = variable_names(ImageRef(path))
    assert set(names) - {""} == {name for name, _, _ in scipy.io.whosmat(path)} - {"__function_workspace__"}
    for name in filter(None, names):
        assert_same(read(path, name), of_scipy(path, name))


@of_matlab("bad")
def test_bad_files_of_matlab(path: Path) -> None:
    name, said = BAD[path.stem]
    with pytest.raises(DecodeError, match=r"cannot be read as a MATLAB file \(.*\): (copy|save)") as caught:
        read(path, name)
    assert said in str(caught.value)


@of_matlab("objects")
def test_objects_of_matlab(path: Path) -> None:
    name = next(name for name, _, kind in scipy.io.whosmat(path) if kind in {"function", "object"})
    with pytest.raises(DecodeError, match=r"a value has class \d+, and only numbers, .* save numbers, text, cells"):
        read(path, name)


@of_matlab("level 4")
def test_files_of_level_4(path: Path) -> None:
    with pytest.raises(
        DecodeError, match=r"is a MATLAB file of version 4, which is not read: save it with -v7 in MATLAB"
    ):
        read(path)
    assert not may_hold_drawings(path)


@pytest.mark.skipif(not EDGES.exists(), reason="no edges in ../shared/data")
def test_the_berkeley_data_set() -> None:
    files = sorted(EDGES.glob("*/*.mat"))
    assert files
    for path in files:
        assert_same(read(path, "groundTruth"), of_scipy(path, "groundTruth"))


# Damaged and hostile ------------------------------------------------------------------------------------------------

LITTLE = Writer()
EIGHT = LITTLE.array(np.arange(8, dtype=np.uint8).reshape(2, 4), name="x")


def flags(kind: int) -> bytes:
    return LITTLE.numbers([kind, 0], "u4")


def nested(depth: int) -> bytes:
    value = EIGHT
    for inside in range(depth):
        value = LITTLE.cells((1, 1), [value], "" if inside + 1 < depth else "x")
    return value


def element_of(compressed: bytes) -> bytes:
    return struct.pack("<2I", 15, len(compressed)) + compressed


def claiming(size: int, content: bytes = b"") -> bytes:
    return element_of(zlib.compress(struct.pack("<2I", 14, size) + EIGHT[8:48] + content))


def sparse(rows: list[int], starts: list[int], values: list[float]) -> bytes:
    parts = LITTLE.numbers(rows, "i4"), LITTLE.numbers(starts, "i4"), LITTLE.numbers(values, "f8")
    return LITTLE.matrix(5, (2, 2), *parts, name="x")


NUMBER, NAME, TWO = LITTLE.numbers([1], "u1"), LITTLE.element(1, b"x"), LITTLE.numbers([1, 1], "i4")
EMPTY = LITTLE.element(2, b"")
LARGE = LITTLE.array(np.zeros((5, 1 << 20), np.uint8), name="x")
MALFORMED = {
    "no variable": (b"\7\0\0\0\0\0\0\0", "at byte 128 there is no variable"),
    "cut tag": (EIGHT + b"\0\0\0", f"at byte {128 + len(EIGHT)} there is no variable"),
    "cut": (EIGHT[:-8], f"byte 128 claims {len(EIGHT) - 8} bytes, and {len(EIGHT) - 16}"),
    "twice": (EIGHT + EIGHT, "it holds 2 variables named x"),
    "no flags": (LITTLE.element(14, TWO + TWO + NAME + NUMBER), "type 5, where numbers are expected"),
    "long flags": (LITTLE.element(14, LITTLE.numbers([6, 0, 0], "u4") + TWO + NAME), "flags of a matrix are 3 numbers"),
    "one axis": (LITTLE.matrix(9, (1,), NUMBER, name="x"), "has the dimensions 1, which are not 2 to 32 lengths"),
    "33 axes": (LITTLE.matrix(9, (1,) * 33, NUMBER, name="x"), "which are not 2 to 32 lengths"),
    "negative": (LITTLE.matrix(9, (-1, -1), NUMBER, name="x"), "has the dimensions -1, -1"),
    "no name": (LITTLE.element(14, flags(9) + TWO + NUMBER + NUMBER), "type 2, where a name is expected"),
    "no numbers": (LITTLE.matrix(9, (1, 1), name="x"), "a matrix ends before its last element"),
    "text for numbers": (LITTLE.matrix(9, (1, 1), LITTLE.element(16, b"a"), name="x"), "type 16, where numbers"),
    "too few": (LITTLE.matrix(9, (1, 2), NUMBER, name="x"), "1 numbers or characters are stored for a matrix of 1 x 2"),
    "half numbers": (LITTLE.matrix(6, (1, 1), LITTLE.element(9, b"12345"), name="x"), "5 bytes holds numbers of 8"),
    "beyond its class": (
        LITTLE.array(np.array([[300]], np.int16), "i2", "x").replace(b"\x0a", b"\x09", 1),
        "class uint8",
    ),
    "small of 5": (LITTLE.matrix(9, (1, 1), struct.pack("<II", 5 << 16 | 2, 0), name="x"), "has 5 bytes, not 1 to 4"),
    "beyond its matrix": (LITTLE.matrix(9, (1, 1), struct.pack("<II", 2, 8), name="x"), "claims 8 bytes, and 0 follow"),
    "left over": (LITTLE.matrix(9, (1, 1), NUMBER, NUMBER, name="x"), "8 bytes after its last element"),
    "complex": (LITTLE.matrix(6 | 0x800, (1, 1), NUMBER, LITTLE.numbers([1, 2], "u1"), name="x"), "2 numbers or char"),
    "sparse complex": (
        LITTLE.matrix(
            5 | 0x800, (1, 1), *[LITTLE.numbers([0], "i4"), LITTLE.numbers([0, 1], "i4"), NUMBER], EMPTY, name="x"
        ),
        "1 real and 0 imaginary parts",
    ),
    "one NaN too many": (LITTLE.matrix(9, (1, 1), LITTLE.numbers([np.nan] * 2, "f8"), name="x"), "2 numbers or char"),
    "long text": (
        LITTLE.matrix(4, (1, 1), LITTLE.element(16, b"12345"), name="x"),
        "5 bytes of text are stored for 1 ",
    ),
    "many fields": (
        LITTLE.matrix(2, (0, 0), LITTLE.numbers([1], "i4"), LITTLE.element(1, bytes(100_001)), name="x"),
        "100001 bytes of field names",
    ),
    "many stored": (sparse([0] * 2**17, [0, 1, 2], [1, 2]), "an array of 4 MiB is more than"),
    "class": (LITTLE.matrix(19, (1, 1), NUMBER, name="x"), "a value has class 19, and only numbers"),
    "cells": (LITTLE.matrix(1, (9, 9), NUMBER, name="x"), "81 values of a cell or structure do not fit into 8 bytes"),
    "no cell": (LITTLE.cells((1, 1), [NUMBER], "x"), "type 2, where a matrix is expected"),
    "compressed cell": (
        LITTLE.cells((1, 1), [struct.pack("<2I", 15, 8) + bytes(8)], "x"),
        "type 15, where a matrix is expected",
    ),
    "same fields": (LITTLE.structure((1, 1), ["a", "a"], [EIGHT, EIGHT], "x"), "['a', 'a'], which are not different"),
    "empty field": (LITTLE.structure((1, 1), [""], [EIGHT], "x"), "[''], which are not different names"),
    "long fields": (LITTLE.matrix(2, (1, 1), LITTLE.numbers([65], "i4"), NAME, name="x"), "not names of 65 bytes"),
    "fields of 0": (LITTLE.matrix(2, (1, 1), LITTLE.numbers([0], "i4"), NAME, name="x"), "not names of 0 bytes"),
    "cut fields": (LITTLE.matrix(2, (1, 1), LITTLE.numbers([2], "i4"), NAME, name="x"), "1 bytes of field names"),
    "bytes for text": (LITTLE.matrix(4, (1, 1), LITTLE.element(9, b"a" * 8), name="x"), "type 9, where text is"),
    "no UTF-8": (LITTLE.matrix(4, (1, 1), LITTLE.element(16, b"\xff"), name="x"), "text is not coded as utf-8"),
    "sparse backwards": (sparse([0, 1], [0, 2, 1], [1, 2]), "columns of a sparse matrix do not follow one another"),
    "sparse from 1": (sparse([0, 1], [1, 2, 2], [1, 2]), "columns of a sparse matrix do not follow one another"),
    "sparse without starts": (sparse([], [], []), "columns of a sparse matrix do not follow one another"),
    "sparse columns": (sparse([0, 1], [0, 2], [1, 2]), "columns of a sparse matrix do not follow one another"),
    "sparse values": (sparse([0, 1], [0, 1, 2], [1]), "a sparse matrix holds 1 of 2 values"),
    "sparse row 2": (sparse([0, 2], [0, 1, 2], [1, 2]), "not in order of their rows and columns"),
    "sparse row -1": (sparse([-1, 0], [0, 1, 2], [1, 2]), "not in order of their rows and columns"),
    "sparse twice": (sparse([0, 0], [0, 2, 2], [1, 2]), "not in order of their rows and columns"),
    "no zlib": (element_of(b"not zlib!"), "a variable cannot be decompressed: Error -3"),
    "no matrix": (element_of(zlib.compress(b"none")), "there is no matrix in a compressed variable"),
    "longer": (claiming(80), "does not end after the 80 bytes that it claims"),
    "shorter": (claiming(64, bytes(40)), "does not end after the 64 bytes that it claims"),
    "no sum": (element_of(zlib.compress(EIGHT)[:-2]), f"does not end after the {len(EIGHT) - 8} bytes"),
    "more than zlib": (element_of(zlib.compress(EIGHT) + b"more"), f"does not end after the {len(EIGHT) - 8} bytes"),
    "beyond zlib": (claiming(10**6), "cannot become 1,000,000 bytes"),
    "bomb": (claiming(2 << 30, bytes(3 << 20)), "cannot become 2,147,483,648 bytes"),
    "large": (element_of(zlib.compress(LARGE)), "a variable of 5 MiB is more than the 4 MiB that there is room for"),
    "large, plain": (LARGE, "a variable of 5 MiB is more than the 4 MiB that there is room for"),
    "deep": (nested(33), "more than 32 inside each other"),
    "many": (LITTLE.cells((1, 100_001), [LITTLE.element(14, b"")] * 100_001, "x"), "more than 100,000 matrices"),
    "empty and huge": (
        LITTLE.matrix(9, (2**31 - 1, 2**31 - 1, 0), LITTLE.element(2, b""), name="x"),
        "MiB is more than",
    ),
    "sparse and huge": (
        LITTLE.matrix(5, (2**30, 1), *[LITTLE.numbers([0], "i4"), LITTLE.numbers([0, 1], "i4"), NUMBER], name="x"),
        "an array of 16,384 MiB is more than",
    ),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    variables, said = MALFORMED[name]
    monkeypatch.setattr(mat_file, "MOST_BYTES", 1 << 22)
    with pytest.raises(DecodeError, match=r"x\.mat cannot be read as a MATLAB file \(") as caught:
        read(LITTLE.save(tmp_path / "x.mat", variables))
    assert said in str(caught.value)


def test_values_32_inside_each_other(tmp_path: Path) -> None:
    value = read(LITTLE.save(tmp_path / "x.mat", nested(32)))
    for _ in range(32):
        value = value[0, 0]
    assert value.size == 8


def test_a_structure_of_no_field_and_any_size_is_read_at_once(tmp_path: Path) -> None:
    assert read(LITTLE.save(tmp_path / "x.mat", LITTLE.structure((2**31 - 1, 2**31 - 1), [], [], "x"))) == {}


def test_the_room_is_for_all_values_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    array = np.arange(100, dtype=np.float64)[None]
    path = LITTLE.save(tmp_path / "x.mat", LITTLE.cells((1, 4), [LITTLE.array(array, "u1")] * 4, "x"))
    monkeypatch.setattr(mat_file, "MOST_BYTES", 3232)
    assert [each.sum() for each in read(path).flat] == [4950] * 4
    monkeypatch.setattr(mat_file, "MOST_BYTES", 3231)
    with pytest.raises(DecodeError, match="an array of 0 MiB is more than") as caught:
        read(path)
    assert caught.value.kind == "bomb"


def test_what_is_not_asked_for_is_skipped(tmp_path: Path) -> None:
    bad = LITTLE.matrix(9, (5, 5), NUMBER, name="bad")
    assert read(LITTLE.save(tmp_path / "x.mat", bad, LITTLE.compressed(bad), EIGHT)).size == 8
    assert read(tmp_path / "x.mat", "absent") is None


@pytest.mark.parametrize("name", ["x.mat", "folder.mat"])
def test_files_that_cannot_be_opened(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.mat").mkdir()
    with pytest.raises(
        DecodeError, match=r"x\.mat does not exist: check|folder\.mat cannot be read \(Is a directory\)"
    ):
        read(tmp_path / name)
    assert not may_hold_drawings(tmp_path / name)


def outcome(path: Path) -> list[np.ndarray] | None:
    """Return the drawings of a file, or None if it is refused in words for people."""
    may_hold_drawings(path)
    try:
        return read_drawings(ImageRef(path))
    except MaskwrightError:
        return None


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("order", ["<", ">"])
def test_any_wrong_byte_is_harmless(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, order: str, compressed: bool
) -> None:
    """One to three bytes are wrong, or the end is missing; nothing guards the pixels that are not compressed."""
    monkeypatch.setattr(mat_file, "MOST_BYTES", 1 << 20)
    writer, random = Writer(order), np.random.default_rng(0)
    maps = [random.random((9, 11)) < 0.2, random.random((9, 11)) < 0.2]
    truth = writer.truth(*maps)
    whole = writer.file(writer.array(LINES, name="other"), writer.compressed(truth) if compressed else truth)
    path, read_again, changed = tmp_path / "x.mat", 0, 0
    for trial in range(1000):
        content = bytearray(whole[: random.integers(len(whole))] if trial % 10 == 0 else whole)
        for place in random.integers(len(content), size=trial % 10 and random.integers(1, 4)):
            content[place] = random.integers(256) if trial % 2 else content[place] ^ 1 << random.integers(8)
        path.write_bytes(content)
        found = outcome(path)
        read_again += found is not None
        if found is not None and compressed:
            changed += not all(np.array_equal(one, other) for one, other in zip(found, maps, strict=True))
    assert changed <= 1  # zlib's sum over all bytes is the same by chance once in some thousand
    assert 100 < read_again < 900
