"""Layers shared by several architectures. They know tensors, and neither classes nor files."""
