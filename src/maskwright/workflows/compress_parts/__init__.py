"""Helpers of the verb compress."""
