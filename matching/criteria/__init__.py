"""What counts as a shared latent, and how many there are."""

from .overlap import chance_floor, mmcs, overlap, pw_mcc, shared

__all__ = ["chance_floor", "mmcs", "overlap", "pw_mcc", "shared"]
