"""Finds the exact matching of two dictionaries, and prices that prove it."""
