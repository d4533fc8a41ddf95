"""Metrics: masks and truth to numbers. Knows numpy arrays, and nothing of models, files or torch.

`Judge` takes one image at a time and keeps only counts; the functions behind it are pure and stand alone.
"""
