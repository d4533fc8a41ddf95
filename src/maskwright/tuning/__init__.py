"""The search for a better plan: a space around it, proposals, and rungs by time. Knows no network, no data, no file."""
