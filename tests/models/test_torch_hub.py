"""torchvision's published files are fetched into torch's cache and checked by their hash, from a server in the test."""

from __future__ import annotations

import hashlib
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest
import torch

from maskwright.core.errors import MaskwrightError
from maskwright.models.backbones import hub
from maskwright.models.importers import import_model

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "lraspp_mobilenet_v3_large"


class Silent(SimpleHTTPRequestHandler):
    def log_message(self, *_given: object) -> None:
        pass


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give torch a cache of the test's own, where the network is allowed."""
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    return tmp_path / "hub/checkpoints"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Serve a folder, and return its address."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    (tmp_path / "served").mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Silent, directory=tmp_path / "served")) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def served(tmp_path: Path, content: bytes, digest: str | None = None) -> str:
    """Put a file on the server under a name with its hash, or another one; return the name."""
    name = f"w-{digest or hashlib.sha256(content).hexdigest()[:8]}.pth"
    (tmp_path / "served" / name).write_bytes(content)
    return name


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_one_command_imports_what_torchvision_publishes(
    tmp_path: Path, cache: Path, server: str, monkeypatch: pytest.MonkeyPatch, legacy: bool
) -> None:
    segmentation = pytest.importorskip("torchvision").models.segmentation
    state = segmentation.lraspp_mobilenet_v3_large(weights=None, weights_backbone=None).state_dict()
    torch.save(state, tmp_path / "w.pth", _use_new_zipfile_serialization=not legacy)
    (tmp_path / "served").mkdir(exist_ok=True)
    name = served(tmp_path, (tmp_path / "w.pth").read_bytes())
    table = segmentation.LRASPP_MobileNet_V3_Large_Weights.DEFAULT
    monkeypatch.setattr(table.value, "url", f"{server}/{name}")
    ours, card = import_model(f"torchvision:{NAME}")
    assert [path.name for path in cache.iterdir()] == [name]
    assert card.classes.names[15] == "person"
    assert card.summary["imported"] == {"source": f"torchvision:{NAME}", "weights": name, "notes": []}
    assert torch.equal(
        ours.head[1].bias, state["classifier.high_classifier.bias"] + state["classifier.low_classifier.bias"]
    )
    monkeypatch.setattr("urllib.request.urlopen", lambda *_a, **_k: pytest.fail("the network was touched"))
    assert hub.torch_archive(f"{server}/{name}") == cache / name, "once fetched, it stays"


def test_a_file_of_another_hash_is_not_kept(tmp_path: Path, cache: Path, server: str) -> None:
    name = served(tmp_path, b"something else", "01234567")
    with pytest.raises(MaskwrightError, match=rf"{name} could not be fetched \(.*hash.*`weights`"):
        hub.torch_archive(f"{server}/{name}")
    assert list(cache.iterdir()) == []


def test_a_cached_file_of_another_hash_is_named(cache: Path) -> None:
    cache.mkdir(parents=True)
    (cache / "w-01234567.pth").write_bytes(b"cut")
    with pytest.raises(MaskwrightError, match=r"w-01234567\.pth is not what its name says .*delete it"):
        hub.torch_archive("https://hub/w-01234567.pth")


def test_a_file_that_is_not_there(cache: Path, server: str) -> None:
    with pytest.raises(
        MaskwrightError, match=r"w-01234567\.pth is not in torch's cache, and .* out of reach: (?i:.*not found)"
    ):
        hub.torch_archive(f"{server}/w-01234567.pth")


def test_offline_the_error_says_where_to_put_the_file(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(
        MaskwrightError, match=r"HF_HUB_OFFLINE is set\. Try again online, put fcn_\w+-\w+\.pth into"
    ) as caught:
        import_model("torchvision:fcn_resnet50")
    assert str(cache) in str(caught.value)
    assert "://" not in str(caught.value)
