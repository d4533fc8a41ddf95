"""Helpers of the verb compare."""
