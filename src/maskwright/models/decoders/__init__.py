"""Decoders, one architecture a file: each has a `build` that composes a whole segmenter; the catalog lists them."""
