"""Files: what the page saves, the PNG files that it reads, its types, its keys in the documentation."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from PIL import Image
from tests.serve.conftest import Running, picture, png
from tests.serve.page.conftest import PAGE, ROOT, SIZE, Looked, node_file
from tests.serve.page.test_view import OBJECTS, bundle

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

IMAGE = picture(SIZE, seed=0)


def saved(looked: Looked, kind: str, folder: Path) -> tuple[str, bytes]:
    """Save one kind of file, and return its name and content."""
    looked.page.keyboard.press("s")
    with looked.page.expect_download() as download:
        looked.page.locator(f"[data-save={kind}]").click()
    download.value.save_as(folder / "saved")
    return download.value.suggested_filename, (folder / "saved").read_bytes()


def test_the_mask_is_saved_as_the_service_writes_it(looked: Looked, service: Running, tmp_path: Path) -> None:
    looked.open(png(IMAGE), "x/street 1.png")
    name, content = saved(looked, "mask", tmp_path)
    assert name == "street 1.leaves.mask.png"
    with (
        Image.open(io.BytesIO(content)) as found,
        Image.open(io.BytesIO(service.predict(png(IMAGE), "?output=mask").body)) as expected,
    ):
        assert found.mode == "P"
        assert (np.asarray(found) == np.asarray(expected)).all()
        assert (np.asarray(found.convert("RGB")) == np.asarray(expected.convert("RGB"))).all()


def test_the_overlay_is_saved_as_it_is_shown(looked: Looked, tmp_path: Path) -> None:
    looked.open(png(IMAGE))
    looked.press("o", "x")
    name, content = saved(looked, "overlay", tmp_path)
    assert name == "a.leaves.overlay.png"
    found = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert np.abs(found - looked.shown().astype(float)).max() <= 2


def test_the_result_is_saved_as_json(looked: Looked, service: Running, tmp_path: Path) -> None:
    looked.open(png(IMAGE))
    name, content = saved(looked, "json", tmp_path)
    expected = json.loads(service.predict(png(IMAGE), "?output=objects").body)
    found = json.loads(content)
    assert name == "a.leaves.json"
    assert found.pop("milliseconds").keys() == expected.pop("milliseconds").keys()
    assert found == expected


def test_ids_of_objects_are_saved_in_16_bits(looked: Looked, tmp_path: Path) -> None:
    body, media = bundle(OBJECTS)
    looked.page.route("**/v1/predict*", lambda route: route.fulfill(body=body, content_type=media))
    looked.page.select_option("#model-a", "cells")
    looked.open(png(IMAGE))
    _, content = saved(looked, "mask", tmp_path)
    found = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    assert found.dtype == np.uint16
    expected = np.zeros(SIZE, np.uint16)
    for number, entry in enumerate(OBJECTS.objects, start=1):
        expected[entry.rows, entry.columns][entry.mask] = number
    assert (found == expected).all()


FILTERS = {"none": 0, "sub": 1, "up": 2, "average": 3, "paeth": 4}


def filtered(plane: NDArray[np.uint8], kind: int) -> bytes:
    """Write a PNG whose rows all have one filter: section 9.2 of the standard, one byte at a time."""
    import struct
    import zlib

    height, width = plane.shape[:2]
    rows = plane.reshape(height, -1).astype(int)
    step = rows.shape[1] // width
    raw = bytearray()
    for y, row in enumerate(rows):
        raw.append(kind)
        for x, value in enumerate(row):
            left = row[x - step] if x >= step else 0
            up = rows[y - 1][x] if y else 0
            corner = rows[y - 1][x - step] if y and x >= step else 0
            guess = min((left, up, corner), key=lambda one: abs(left + up - corner - one))
            raw.append((value - (0, left, up, (left + up) // 2, guess)[kind]) % 256)
    head = struct.pack(">IIBBBBB", width, height, 8, 0 if step == 1 else 2, 0, 0, 0)
    parts = [(b"IHDR", head), (b"IDAT", zlib.compress(bytes(raw))), (b"IEND", b"")]
    chunks = [struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in parts]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.mark.parametrize("kind", FILTERS)
@pytest.mark.parametrize("channels", [1, 3])
def test_png_files_are_read_exactly(looked: Looked, kind: str, channels: int) -> None:
    shape = (7, 11) if channels == 1 else (7, 11, 3)
    plane = np.random.default_rng(FILTERS[kind]).integers(0, 256, shape, np.uint8)
    file = filtered(plane, FILTERS[kind])
    with Image.open(io.BytesIO(file)) as judged:
        assert (np.asarray(judged) == plane).all(), "what is written here is a PNG"
    values = looked.page.evaluate(
        """async (bytes) => {
            const { decodePlane } = await import("/page/png.js");
            return [...(await decodePlane(Uint8Array.from(bytes))).values];
        }""",
        list(file),
    )
    expected = plane if channels == 1 else (plane * np.array([1, 256, 65536])).sum(axis=2)
    assert values == expected.ravel().tolist()


def test_levels_keep_what_is_thin(looked: Looked) -> None:
    labels = np.zeros((5, 9), np.uint8)
    labels[2, :] = 1
    labels[:, 7] = 2
    half = looked.page.evaluate(
        """async ([labels, width, height]) => {
            const { half, rankOf } = await import("/page/pixels.js");
            const classes = [
                { index: 0, pixels: 30, background: true },
                { index: 1, pixels: 40, background: false },
                { index: 2, pixels: 5, background: false },
            ];
            const level = half({ width, height, labels: Uint8Array.from(labels), ids: null }, rankOf(classes));
            return [level.width, level.height, [...level.labels]];
        }""",
        [labels.ravel().tolist(), 9, 5],
    )
    assert half == [5, 3, [0, 0, 0, 2, 0, 1, 1, 1, 2, 1, 0, 0, 0, 2, 0]]


def test_types() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is missing")
    tsc = node_file("typescript/bin/tsc")
    done = subprocess.run(
        [node, str(tsc), "-p", str(ROOT / "tests/serve/page")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


KEY = re.compile(r'\{ group: "(\w+)", keys: \[.*?\], shown: "(.*?)", text: "(.*?)", action: "\w+" \}')


def test_the_documentation_has_all_keys() -> None:
    source = (PAGE / "keys.js").read_text(encoding="utf-8")
    keys = [f"| `{shown}` | {text} |" for _, shown, text in KEY.findall(source)]
    assert len(keys) == source.count("{ group: ")
    lines = (ROOT / "docs/page.md").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line.startswith("| `")] == keys


def test_the_help_has_all_keys(looked: Looked) -> None:
    looked.press("?")
    source = (PAGE / "keys.js").read_text(encoding="utf-8")
    assert looked.page.locator("#keys dd").all_inner_texts() == [text for _, _, text in KEY.findall(source)]
    looked.press("Escape")
    assert not looked.page.locator("#keys").is_visible()


def test_nothing_in_the_markup_is_against_the_policy() -> None:
    for file in PAGE.iterdir():
        text = file.read_text(encoding="utf-8")
        assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")
        assert "https://" not in text
        if file.suffix == ".html":
            assert re.search(r"\sstyle=|\son\w+=|<style|javascript:", text) is None
            assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", text))
