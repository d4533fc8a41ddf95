"""Object stores, `s3://bucket/folder/*.tif`: their images, copied for as long as they are predicted, and their errors.

fsspec reads and writes the store, with a package for each kind of one; that for S3 is installed by the extra `s3`. A
source is only read. Where results go to a store (`destinations`), they are all that is sent.
"""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from maskwright.core.errors import MaskwrightError
from maskwright.core.files import write_error
from maskwright.core.optional import optional
from maskwright.core.paths import is_remote
from maskwright.core.records import ImageRef
from maskwright.data.readers import IMAGE_SUFFIXES
from maskwright.data.readers.errors import DecodeError
from maskwright.data.readers.zarr_store import MARKERS, METADATA, SUFFIX, images_in, layout_of
from maskwright.workflows.predict_parts.results import Failure

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from maskwright.workflows.predict_parts.pictures import Picture
    from maskwright.workflows.predict_parts.results import Predicted, PredictResult

_PACKAGES = {"s3": ("s3fs", "s3")}
"""Kind of store -> the package that reads it, and our extra for it."""
_REFUSED = ("403", "AccessDenied", "Access Denied", "Forbidden", "InvalidAccessKeyId", "SignatureDoesNotMatch")


class Copies:
    """Copies of remote images.

    Attributes:
        sources: what to predict: local sources as they were given, and copies of the remote ones.
    """

    def __init__(self, folder: Path, sources: Sequence[str | Path | Picture], level: int = 0) -> None:
        self._level = level
        self.sources: list[str | Path | Picture] = []
        self._origins: dict[str, str] = {}
        for number, source in enumerate(sources):
            if is_remote(source):
                self._copy(source, folder / str(number))
            else:
                self.sources.append(source)

    def with_origin(self, picture: Picture) -> Picture:
        """Return a picture with its place in the store, if its image is a copy."""
        path = str(picture.image.path)
        origin = self.text(path)
        return picture if origin == path else replace(picture, origin=origin)

    def named(self, result: PredictResult) -> PredictResult:
        """Return the result with the places in the store instead of those of the copies."""
        return renamed(result, self._origins)

    def text(self, text: str) -> str:
        """Return a text with the places in the store instead of those of the copies."""
        return _renamed_text(text, self._origins)

    def _copy(self, url: str, folder: Path) -> None:
        """Copy the images of one source into a folder of their own.

        Raises:
            MaskwrightError: the store cannot be read, or holds no such image.
        """
        kind = url.partition("://")[0]
        with explained(url):
            store, path = opened_store(url)
            objects, root = _listed(store, path)
            if not objects:
                raise MaskwrightError(f"{url} holds no image, or does not exist: check the name of the bucket")
            self._origins[str(folder)] = f"{kind}://{root}"
            places = {name: folder / PurePosixPath(name).relative_to(root) for name in objects}
            parts = _parts_of_stores(objects, root)
            for name in objects:
                if name not in parts:
                    self._get(store, name, places[name], objects[name])
            needed = {top: _read_folders(folder / top.relative_to(root), self._level) for top in {*parts.values()}}
            for name, top in parts.items():
                if not needed[top].isdisjoint(places[name].parents):
                    self._get(store, name, places[name], objects[name])
        self.sources.append(places[path] if list(objects) == [path] else folder)

    def _get(self, store: Any, name: str, place: Path, changed: datetime | None) -> None:
        place.parent.mkdir(parents=True, exist_ok=True)
        store.get_file(name, str(place))
        if changed is not None:  # a prediction that goes on compares it
            os.utime(place, (changed.timestamp(), changed.timestamp()))


def opened_store(url: str) -> tuple[Any, str]:
    """Return the file system of a store, as fsspec gives it, and the path in it.

    Raises:
        MaskwrightError: the package for such a store is missing, or the address names no bucket.
    """
    scheme, _, place = url.partition("://")
    optional(*_PACKAGES[scheme])
    if not place.strip("/"):
        raise MaskwrightError(f"{url} names no bucket: give {scheme}://BUCKET/PREFIX")
    from fsspec.core import url_to_fs

    store, path = url_to_fs(url)
    store.invalidate_cache()  # what another program has changed since is asked for again
    return store, str(path)


def renamed(result: PredictResult, origins: Mapping[str, str]) -> PredictResult:
    """Return a result with other names for folders: those in a store instead of those of this machine."""

    def text(old: str) -> str:
        return _renamed_text(old, origins)

    def path(old: Path) -> Path:
        new = text(str(old))
        return StorePath(new) if new != str(old) else old

    def files(old: dict[str, Path]) -> dict[str, Path]:
        return {kind: path(file) for kind, file in old.items()}

    def images(old: Iterable[Predicted]) -> tuple[Predicted, ...]:
        return tuple(replace(each, source=path(each.source), files=files(each.files)) for each in old)

    return replace(
        result,
        outputs=tuple(map(path, result.outputs)),
        failures=[Failure(path(each.path), text(each.reason)) for each in result.failures],
        images=images(result.images),
        notes=tuple(map(text, result.notes)),
        videos=tuple(replace(each, source=path(each.source), files=files(each.files)) for each in result.videos),
        rejected=None if result.rejected is None else images(result.rejected),
    )


def _renamed_text(text: str, origins: Mapping[str, str]) -> str:
    for place, origin in sorted(origins.items(), reverse=True):  # DIR/10 before DIR/1
        text = text.replace(place, origin)
    return text


class StorePath(type(Path())):  # type: ignore[misc]
    """A place in a store, which keeps both slashes of `s3://` in its text."""

    def __str__(self) -> str:
        """Return the URL."""
        return super().__str__().replace(":/", "://", 1)


def _listed(store: Any, path: str) -> tuple[dict[str, Any], str]:
    """Return the objects that a path, a folder or a pattern means, each with the time of its change, and their folder.

    A Zarr store is a folder that is copied whole; in a pattern its name ends in .zarr.
    """
    if store.isfile(path):
        return {path: store.info(path).get("LastModified")}, str(PurePosixPath(path).parent)
    if any(sign in path for sign in "*?["):
        parts = PurePosixPath(path).parts
        fixed = next(number for number, part in enumerate(parts) if any(sign in part for sign in "*?["))
        found = store.glob(path, detail=True)
        for name in [name for name in found if name.endswith(SUFFIX)]:
            found |= store.find(name, detail=True)
        return _images(found), "/".join(parts[:fixed])
    path = path.rstrip("/")
    found = _images(store.find(path, detail=True))
    itself = path.endswith(SUFFIX) or any(f"{path}/{name}" in found for name in MARKERS)
    return found, str(PurePosixPath(path).parent) if itself else path


def _images(found: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the images among objects, and all that lies in Zarr stores, with the times of their changes."""
    files = {name: PurePosixPath(name) for name, said in found.items() if said["type"] == "file"}
    stores = {path.parent for path in files.values() if path.name in MARKERS}
    return {
        name: found[name].get("LastModified")
        for name, path in sorted(files.items())
        if path.suffix.lower() in IMAGE_SUFFIXES
        or any(parent in stores or parent.suffix == SUFFIX for parent in path.parents)
    }


def _parts_of_stores(names: Iterable[str], root: str) -> dict[str, PurePosixPath]:
    """Return the objects in Zarr stores that are no metadata, each with the folder of its store below the root."""
    paths = {name: PurePosixPath(name) for name in names}
    marked = {path.parent for path in paths.values() if path.name in MARKERS}
    found = {}
    for name, path in paths.items():
        folders = path.parents[: len(path.relative_to(root).parts) - 1]
        stores = [folder for folder in folders if folder in marked or folder.suffix.lower() == SUFFIX]
        if stores and path.name not in METADATA:
            found[name] = stores[-1]
    return found


def _read_folders(store: Path, level: int) -> set[Path]:
    """Return the folders of the arrays that a prediction reads, from the metadata of a Zarr store."""
    store.mkdir(parents=True, exist_ok=True)  # where there is nothing else of it
    found = set()
    for image in images_in(store, []):  # what is broken is reported when it is predicted
        with contextlib.suppress(DecodeError):
            found |= {node.folder for node in layout_of(ImageRef(store / image)).levels[level : level + 1]}
    return found


@contextlib.contextmanager
def explained(url: str) -> Iterator[None]:
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
        if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:  # of this machine
            raise write_error(Path(error.filename or tempfile.gettempdir()), error) from None
        said = str(error) or type(error).__name__
        if isinstance(error, PermissionError) or any(word in said for word in _REFUSED):
            cure = "check your credentials (AWS_ACCESS_KEY_ID, AWS_PROFILE)"
            may = "and that they may list, read and write the bucket"
            raise MaskwrightError(f"{url} is refused by its store ({said}): {cure}, {may}") from None
        if "credentials" in said.lower():
            cure = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
            raise MaskwrightError(f"{url} needs credentials ({said}): {cure}") from None
        raise MaskwrightError(
            f"{url} cannot be read or written ({said}): check the network and AWS_ENDPOINT_URL"
        ) from None


@contextlib.contextmanager
def local_copies(sources: Sequence[str | Path | Picture], level: int | None = None) -> Iterator[Copies]:
    """Yield copies of the remote images among sources, of pyramids in Zarr one level; they are removed afterwards.

    Raises:
        MaskwrightError: a store cannot be read, its package is missing, or it holds no such image.
    """
    with tempfile.TemporaryDirectory(prefix="maskwright-") as folder:
        copies = Copies(Path(folder).resolve(), sources, level or 0)
        try:
            yield copies
        except MaskwrightError as error:
            raise MaskwrightError(copies.text(str(error)), error.key) from error
