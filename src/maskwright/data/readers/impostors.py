"""Files that have the name of an image and are none: what each is, by its first bytes, and what to do about it."""

from __future__ import annotations

HEAD_BYTES = 132
"""How much of a file is needed to tell."""

_HEIF = frozenset({b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"})
_RASTERS = "PNG, JPEG or TIFF"
_STARTS: tuple[tuple[bytes, str, str], ...] = (
    (
        b"version https://git-lfs",
        "is a Git LFS pointer and not the image itself",
        "run `git lfs pull` in the repository that it comes from",
    ),
    (
        b"\x00\x05\x16\x07",
        "is an AppleDouble file, which macOS writes beside the file of the same name without ._",
        "remove it: it holds no pixels",
    ),
    (b"\x00\x00\x00\x0cjP  ", "is a JPEG 2000 image", f"convert it to {_RASTERS}"),
    (b"\xff\x4f\xff\x51", "is a JPEG 2000 image", f"convert it to {_RASTERS}"),
    (b"\xff\x0a", "is a JPEG XL image", f"convert it to {_RASTERS}"),
    (b"\x00\x00\x00\x0cJXL ", "is a JPEG XL image", f"convert it to {_RASTERS}"),
    (b"\x76\x2f\x31\x01", "is an OpenEXR image", "convert it to TIFF"),
    (b"\x89HDF\r\n\x1a\n", "is an HDF5 file", "save each image of it as TIFF or .npy"),
    (b"8BPS", "is a Photoshop document", f"export it as {_RASTERS}"),
    (b"%PDF", "is a PDF document", f"export its pages as {_RASTERS}"),
    (b"PK\x03\x04", "is a ZIP archive", "unpack it"),
    (b"\x1f\x8b", "is compressed with gzip", "unpack it"),
    (b"P7", "is a PAM image", "convert it to PNG or TIFF"),
    (b"PF", "is a PFM image", "convert it to TIFF or .npy"),
    (b"Pf", "is a PFM image", "convert it to TIFF or .npy"),
)
_PAGES = (b"<!doctype html", b"<html")
_DRAWINGS = (b"<svg", b"<?xml")


def described(head: bytes) -> tuple[str, str]:
    """Say what a file is that is no image, and the cure.

    Args:
        head: its first `HEAD_BYTES`.
    """
    for start, what, cure in _STARTS:
        if head.startswith(start):
            return what, cure
    if head[4:8] == b"ftyp":
        return _media(head[8:12])
    if head[128:132] == b"DICM":
        return "is a DICOM file", "convert it to PNG or TIFF"
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith(_PAGES):
        return "is a web page, such as an error that a download got instead of the image", "download it again"
    if text.startswith(_DRAWINGS):
        return "is an XML file or an SVG drawing", f"export it as {_RASTERS}, or remove it"
    return f"is not an image: it starts with {head[:8]!r}", ""


def _media(brand: bytes) -> tuple[str, str]:
    if brand in _HEIF:
        return "is a HEIC photograph, whatever its name says", f"convert it to {_RASTERS}; a new name is not enough"
    if brand in {b"avif", b"avis"}:
        return "is an AVIF image, whatever its name says", f"convert it to {_RASTERS}; a new name is not enough"
    if brand == b"crx ":
        return "is a raw photograph (CR3)", f"export it as {_RASTERS}"
    return "is a video", "save its frames as images"
