"""Workflows: one function a verb, which both the command line and the Python API call. They print nothing."""
