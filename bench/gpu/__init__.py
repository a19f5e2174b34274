"""Checks and times the kernels on a GPU, in one run with a time limit."""
