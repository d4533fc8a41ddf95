"""What a user requests of a service. Importing this module is quick."""

from __future__ import annotations

import ipaddress
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from maskwright.core.errors import MaskwrightError

if TYPE_CHECKING:
    from pathlib import Path

LOOPBACK_NAMES = frozenset({"localhost", "ip6-localhost", "localhost.localdomain"})
_SHORTEST_TOKEN = 8


@dataclass(frozen=True)
class ServeRequest:
    """How to serve models.

    Attributes:
        host: address to listen on.
        port: to listen on; 0 for any that is free.
        token: that each request must bring; needed for any host but this machine itself.
        gallery: folder of images that the page offers.
        device: as `models.device.resolve_device` takes it.
        engine: as `inference.opening.opened` takes it.
        fast: bfloat16, where the engine has it.
        postprocess: name in `postprocess.POSTPROCESSORS` of what follows the network.
        batch: most tiles in one run of the network; None for what the engine prefers.
        queue: requests that may wait.
        timeout: seconds from the end of an upload to its answer.
        max_mb: largest upload, in 10^6 bytes.
        max_megapixels: largest image, in 10^6 pixels.

    Raises:
        MaskwrightError: a value breaks its rule.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    token: str | None = None
    gallery: Path | None = None
    device: str = "auto"
    engine: str | None = None
    fast: bool = False
    postprocess: str | None = None
    batch: int | None = None
    queue: int = 64
    timeout: float = 30.0
    max_mb: float = 64.0
    max_megapixels: float = 64.0

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise MaskwrightError(f"`port` is {self.port}, and it must be 0 to 65535: choose another", "port")
        for name in ("timeout", "max_mb", "max_megapixels"):
            value = getattr(self, name)
            if not 0 < value < math.inf:
                raise MaskwrightError(f"`{name}` is {value}, and it must be a number above 0: give a larger one", name)
        for name in ("queue", "batch"):
            count = getattr(self, name)
            if count is not None and count < 1:
                raise MaskwrightError(f"`{name}` is {count}, and it must be 1 or more: give a larger one", name)
        self._check_token()
        if self.gallery is not None and not self.gallery.is_dir():
            raise MaskwrightError(
                f"`gallery` is {self.gallery}, and it must be a folder of images: check the path", "gallery"
            )

    def _check_token(self) -> None:
        if self.token is None and not self.local:
            raise MaskwrightError(
                f"`host` is {self.host}, which other machines can reach, and there is no token: give `token`, or "
                "leave out `host`",
                "host",
            )
        if self.token is not None and (len(self.token) < _SHORTEST_TOKEN or not _sendable(self.token)):
            raise MaskwrightError(
                f"`token` has {len(self.token)} characters, and it must be {_SHORTEST_TOKEN} or more letters, digits "
                "and signs of ASCII without blanks: make a long random one"  # no key: it would print the secret
            )

    @property
    def local(self) -> bool:
        """Whether only this machine can reach the service."""
        return is_loopback(self.host)

    @property
    def max_bytes(self) -> int:
        """Largest upload, in bytes."""
        return int(self.max_mb * 1e6)

    @property
    def max_pixels(self) -> int:
        """Largest image, in pixels."""
        return int(self.max_megapixels * 1e6)


def is_loopback(host: str) -> bool:
    """Tell whether a host name or address means this machine, without asking the network."""
    if host.lower() in LOOPBACK_NAMES:
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _sendable(token: str) -> bool:
    return all(33 <= ord(sign) <= 126 for sign in token)
