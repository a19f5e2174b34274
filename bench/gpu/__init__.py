"""Checks and times the kernels on a GPU, in stages that cannot lose one another's results."""
