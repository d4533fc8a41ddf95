"""Heads: the last layers, from a feature map to logits."""
