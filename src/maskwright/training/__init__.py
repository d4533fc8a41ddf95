"""Fit a model: the loop, optimisers, schedule, averaged weights, checkpoints, loggers. Knows no command line."""
