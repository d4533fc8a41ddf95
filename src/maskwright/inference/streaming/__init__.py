"""A network of convolutions on an image of any height, some rows at a time, nothing computed twice.

Tiles compute what they share with their neighbours again. Here every layer keeps the few rows that its next rows need,
so the result is that of the whole image, at any memory: `tracing` notes what a network does, `layers` says for each
layer which rows it needs, `schedule` which rows each computes when, and `stream` does it. A layer that needs the whole
image (an average over it, attention) makes a network unfit; see `tracing.NotStreamableError`.
"""
