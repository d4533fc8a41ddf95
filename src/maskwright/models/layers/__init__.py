"""Layers that more than one architecture is made of. They know tensors, and neither classes nor files."""
