"""Helpers of the verb export."""
