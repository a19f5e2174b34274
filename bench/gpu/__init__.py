"""The GPU's kernels, checked and then measured in one command that keeps to a time."""
