"""Classic methods: edges, superpixels and regions of an image without training. Knows no torch and no file."""
