"""Honest numbers: every side timed in one run, interleaved, after a warm-up."""
