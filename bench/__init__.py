"""Honest numbers: checked against torch, then timed in one run, interleaved, after a warm-up."""
