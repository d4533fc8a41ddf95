"""Refines probabilities: the dense CRF, and the search for its parameters. Knows no network and no file."""
