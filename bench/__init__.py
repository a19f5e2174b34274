"""Benchmarks: results are checked first, then all ways take turns in one run, after a warm-up."""
