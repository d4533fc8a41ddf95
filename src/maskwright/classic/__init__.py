"""Segmentation without training: edges, enhancement, superpixels. Knows no torch."""
