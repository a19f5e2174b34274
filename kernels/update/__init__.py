"""Updates a matrix with a row for each latent by Adam, straight from a batch's non-zeros."""

from .api import AdamStep, LatentTotals, Moments, latent_adam, latent_squares
from .interface import Term

__all__ = ["AdamStep", "LatentTotals", "Moments", "Term", "latent_adam", "latent_squares"]
