"""A trained network in a file for another runtime, and the proof that it still gives the same masks."""
