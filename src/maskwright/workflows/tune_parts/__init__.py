"""Helpers of the verb tune."""
