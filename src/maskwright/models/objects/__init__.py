"""Networks that find objects one by one instead of labelling every pixel: one file per architecture."""

from __future__ import annotations
