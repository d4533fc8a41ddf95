"""Fingerprint + machine + budget -> plan: one rule a function, each decision with its reason and its figure."""
