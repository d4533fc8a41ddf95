"""Architectures that are grown from labelled pixels at once, without steps: the forest."""
