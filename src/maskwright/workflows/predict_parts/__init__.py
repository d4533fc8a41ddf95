"""What `predict` is made of: which images, and which files are written."""
