"""Fit a model: the loop, optimisers, pace, averaged weights, checkpoints, loggers. Knows no command line."""
