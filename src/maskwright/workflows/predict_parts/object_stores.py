"""Images in object stores, `s3://bucket/folder/*.tif`, copied to this machine for as long as they are predicted.

fsspec reads the store, with a package for each kind of one; that for S3 is installed by the extra `s3`. Nothing is sent
but the requests for the objects that the user names.
"""

from __future__ import annotations

import contextlib
import tempfile
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, TypeGuard

from maskwright.core.errors import MaskwrightError
from maskwright.core.optional import optional
from maskwright.data.readers import IMAGE_SUFFIXES
from maskwright.workflows.predict_parts.results import Failure

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from maskwright.workflows.predict_parts.pictures import Picture
    from maskwright.workflows.predict_parts.results import PredictResult

_PACKAGES = {"s3": ("s3fs", "s3")}
"""Kind of store -> the package that reads it, and our extra for it."""
_REFUSED = ("403", "AccessDenied", "Access Denied", "Forbidden", "InvalidAccessKeyId", "SignatureDoesNotMatch")


def is_remote(source: object) -> TypeGuard[str]:
    """Tell whether a source lies in an object store."""
    return isinstance(source, str) and source.partition("://")[0] in _PACKAGES and "://" in source


class Copies:
    """Copies of remote images.

    Attributes:
        sources: what to predict: local sources as they were given, and copies of the remote ones.
    """

    def __init__(self, folder: Path, sources: Sequence[str | Path | Picture]) -> None:
        self.sources: list[str | Path | Picture] = []
        self._origins: dict[str, str] = {}
        for number, source in enumerate(sources):
            if is_remote(source):
                self._copy(source, folder / str(number))
            else:
                self.sources.append(source)

    def named(self, result: PredictResult) -> PredictResult:
        """Return the result with the places in the store instead of those of the copies."""
        failures = [Failure(Path(self._named(str(each.path))), self._named(each.reason)) for each in result.failures]
        images = tuple(replace(each, source=Path(self._named(str(each.source)))) for each in result.images)
        notes = tuple(self._named(note) for note in result.notes)
        return replace(result, failures=failures, images=images, notes=notes)

    def _named(self, text: str) -> str:
        for place, origin in self._origins.items():
            text = text.replace(place, origin)
        return text

    def _copy(self, url: str, folder: Path) -> None:
        """Copy the images of one source into a folder of their own.

        Raises:
            MaskwrightError: the store cannot be read, or holds no such image.
        """
        kind = url.partition("://")[0]
        optional(*_PACKAGES[kind])
        from fsspec.core import url_to_fs

        with _explained(url):
            store, path = url_to_fs(url)
            objects, root = _listed(store, path)
            if not objects:
                raise MaskwrightError(f"{url} holds no image, or does not exist: check the name of the bucket")
            self._origins[str(folder)] = f"{kind}://{root}"
            for name in objects:
                place = folder / PurePosixPath(name).relative_to(root)
                place.parent.mkdir(parents=True, exist_ok=True)
                store.get_file(name, str(place))
        self.sources.append(folder if len(objects) > 1 else place)


def _listed(store: Any, path: str) -> tuple[list[str], str]:
    """Return the objects that a path, a folder or a pattern means, and the folder that they lie in."""
    if any(sign in path for sign in "*?["):
        parts = PurePosixPath(path).parts
        fixed = next(number for number, part in enumerate(parts) if any(sign in part for sign in "*?["))
        return _images(store.glob(path)), "/".join(parts[:fixed])
    if store.isfile(path):
        return [path], str(PurePosixPath(path).parent)
    return _images(store.find(path)), path.rstrip("/")


def _images(names: Sequence[str]) -> list[str]:
    return sorted(name for name in names if PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES)


@contextlib.contextmanager
def _explained(url: str) -> Iterator[None]:
    """Say what a store's error means for the user.

    Raises:
        MaskwrightError: with the source, the reason and the cure.
    """
    try:
        yield
    except MaskwrightError:
        raise
    except FileNotFoundError as error:
        raise MaskwrightError(f"{url} does not exist ({error}): check the name of the bucket and the key") from None
    except Exception as error:  # noqa: BLE001 (the errors of stores share no base)
        said = str(error) or type(error).__name__
        if isinstance(error, PermissionError) or any(word in said for word in _REFUSED):
            cure = "check your credentials (AWS_ACCESS_KEY_ID, AWS_PROFILE), and that they may list and read the bucket"
            raise MaskwrightError(f"{url} is refused by its store ({said}): {cure}") from None
        if "credentials" in said.lower():
            cure = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
            raise MaskwrightError(f"{url} needs credentials ({said}): {cure}") from None
        raise MaskwrightError(f"{url} cannot be read ({said}): check the network and AWS_ENDPOINT_URL") from None


@contextlib.contextmanager
def local_copies(sources: Sequence[str | Path | Picture]) -> Iterator[Copies]:
    """Yield copies of the remote images among sources; they are removed afterwards.

    Raises:
        MaskwrightError: a store cannot be read, its package is missing, or it holds no such image.
    """
    with tempfile.TemporaryDirectory(prefix="maskwright-") as folder:
        yield Copies(Path(folder).resolve(), sources)
