"""Smooth densities of any number of points, all of them counted."""

import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve

Array = NDArray[np.float64]

FEWEST = 10  # points, below which a density would be invention
MASS = (0.95, 0.8, 0.6, 0.4, 0.2)


def density(points: Array, edges: list[Array]) -> Array | None:
    """Return a Gaussian kernel density, computed from the points' histogram.

    The kernel's covariance is the points' own, times n^(-2 / (d + 4)) (Scott's rule, as
    `scipy.stats.gaussian_kde` has it). A histogram and one convolution take the place of n kernels,
    so the result is as exact as the bins are narrow beside the kernel.

    Args:
        points: (n, d), d = 1 or 2; those outside the edges count in n alone.
        edges: for each of the d directions, equally spaced edges of bins.

    Returns:
        The density at the middle of each bin, of shape (bins,) * d; its integral is 1 over all
        space. None for fewer than 10 points, and for points on one spot or one line.
    """
    number, dimensions = points.shape
    if number < FEWEST:
        return None
    spread = np.atleast_2d(np.cov(points.T))
    if np.linalg.eigvalsh(spread)[0] < 1e-8:
        return None
    inverse = np.linalg.inv(spread * number ** (-2 / (dimensions + 4)))
    counts, _ = np.histogramdd(points, edges)
    widths = [float(edge[1] - edge[0]) for edge in edges]
    steps = [
        width * np.arange(1 - bins, bins) for width, bins in zip(widths, counts.shape, strict=True)
    ]
    offsets = np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1)
    kernel = np.exp(-0.5 * np.einsum("...i,ij,...j->...", offsets, inverse, offsets))
    smooth = fftconvolve(counts, kernel / kernel.sum(), mode="same")
    # The Fourier transform leaves numbers just below 0.
    heights: Array = np.maximum(smooth, 0.0) / (number * np.prod(widths))
    return heights


def levels(heights: Array) -> list[float]:
    """Return rising heights, whose contours enclose 95, 80, 60, 40 and 20 % of all mass."""
    falling = np.sort(heights.ravel())[::-1]
    enclosed = np.cumsum(falling) / falling.sum()
    return sorted({float(falling[np.searchsorted(enclosed, mass)]) for mass in MASS})
