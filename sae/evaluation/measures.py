"""How well an SAE reconstructs, and how sparsely: sums over tokens, batch by batch.

N tokens have targets y_n (D,) and reconstructions y^_n; e_n = y^_n - y_n, and m is the mean of all
N targets. A plain SAE's target is its input. A peer's key is named where it is the same. The
manual's page *Evaluate SAEs* has the definitions that differ.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ...common.blocks import slices

DENSE = 0.1
"""A latent is dense if it is active on more than this share of the tokens."""

_BLOCK_ROWS = 512  # in float64 at once


@dataclass(frozen=True)
class Measured:
    """What `Measures` found; a ratio whose denominator is 0 is infinite, or NaN for 0 / 0."""

    tokens: int
    """N. A token that the caller leaves out, such as a BOS, counts nowhere."""
    fvu: float
    """Fraction of variance unexplained: sum |e_n|^2 / sum |y_n - m|^2 over all N tokens at once,
    and not a mean over batches, each with its own m, as in a training's log."""
    explained_variance: float
    """1 - fvu: SAELens' ``explained_variance``, and R^2."""
    frac_variance_explained: float
    """1 - (variance of e) / (variance of y), each summed over the dimensions: the key of
    dictionary_learning. An error that is the same for all tokens does not lower it."""
    mse: float
    """sum |e_n|^2 / N: summed over the dimensions, as SAELens' ``mse``."""
    cosine: float
    """Mean over the tokens of the cosine of y_n and y^_n, 0 where one of them is 0: ``cossim``."""
    relative_reconstruction_bias: float
    """sum |y^_n|^2 / sum <y^_n, y_n>: below 1 if reconstructions are too short (arXiv 2404.16014,
    equation 10)."""
    l0: float
    """Mean number of latents per token whose value is not 0."""
    dead: float
    """Share of the latents that are active on none of the N tokens: 1 - ``frac_alive``. The fewer
    tokens, the larger it is."""
    dense: float
    """Share of the latents that are active on more than `DENSE` of the tokens."""
    outliers: int
    """Tokens whose target is longer than the ``outlier_norm`` given."""
    fvu_without_outliers: float
    """`fvu` of the other tokens alone, with the mean of these."""


class Measures:
    """Sums over the tokens of one SAE; `Measured` says what they become.

    All sums are float64, token after token: on a CPU the result has the same bits however the
    tokens are split in batches. A GPU adds in another order. The memory depends on L and D only.

    Args:
        num_latents: L.
        width: D, of the targets.
        outlier_norm: a target with a larger Euclidean norm is an outlier.
        device: where the tokens are.
    """

    def __init__(
        self,
        num_latents: int,
        width: int,
        *,
        outlier_norm: float = math.inf,
        device: torch.device | str = "cpu",
    ) -> None:
        self.tokens = 0
        self.fired = torch.zeros(num_latents, dtype=torch.int64, device=device)
        """(L,): on how many tokens each latent was active."""
        self._outlier_norm = outlier_norm
        self._width = width
        self._ordinary, self._outliers = _Group(width, device), _Group(width, device)

    @torch.no_grad()
    def add(self, target: Tensor, reconstruction: Tensor, values: Tensor, indices: Tensor) -> None:
        """Take in tokens, of which there may be none.

        Args:
            target: (..., D), any floating-point dtype.
            reconstruction: (..., D).
            values: (..., k), the values of the active latents; 0 in missing places.
            indices: (..., k) int64, which latents these are; below 0 in missing places.

        Raises:
            ValueError: a target or a reconstruction is NaN or infinite. The token is counted from
                0 over all calls. Nothing may be added after that.
        """
        target = target.reshape(-1, self._width)
        reconstruction = reconstruction.reshape(-1, self._width)
        for rows in slices(len(target), _BLOCK_ROWS):
            self._add_block(target[rows].double(), reconstruction[rows].double())
        active = (values != 0) & (indices >= 0)
        self.fired += torch.bincount(indices[active], minlength=len(self.fired))

    def _add_block(self, y: Tensor, reconstruction: Tensor) -> None:
        """Take in targets and reconstructions (n, D) float64."""
        for what, rows in (("target", y), ("reconstruction", reconstruction)):
            wrong = ~rows.isfinite().all(dim=1)
            if wrong.any():
                token = self.tokens + int(wrong.nonzero()[0])
                raise ValueError(f"the {what} of token {token:,} is NaN or infinite")
        outlier = torch.linalg.vector_norm(y, dim=1) > self._outlier_norm
        self._ordinary.add(y[~outlier], reconstruction[~outlier])
        self._outliers.add(y[outlier], reconstruction[outlier])
        self.tokens += len(y)

    def result(self) -> Measured:
        """Return the measures of all tokens so far.

        Raises:
            ValueError: there are none.
        """
        if not self.tokens:
            raise ValueError("there are no tokens to measure")
        ordinary, outliers = self._ordinary, self._outliers
        squares, length, product, cosines = (ordinary.numbers + outliers.numbers).tolist()
        variance = ordinary.variance + outliers.variance + self._variance_between()
        error = ordinary.error + outliers.error  # (D,)
        fvu = ratio(squares, variance)
        return Measured(
            tokens=self.tokens,
            fvu=fvu,
            explained_variance=1 - fvu,
            frac_variance_explained=1 - ratio(_about_mean(squares, error, self.tokens), variance),
            mse=squares / self.tokens,
            cosine=cosines / self.tokens,
            relative_reconstruction_bias=ratio(length, product),
            l0=int(self.fired.sum()) / self.tokens,
            dead=_share(self.fired == 0),
            dense=_share(self.fired > DENSE * self.tokens),
            outliers=outliers.tokens,
            fvu_without_outliers=ratio(float(ordinary.numbers[0]), ordinary.variance),
        )

    def _variance_between(self) -> float:
        """Return what the distance of the two groups' means adds to their own variances."""
        ordinary, outliers = self._ordinary, self._outliers
        if not ordinary.tokens or not outliers.tokens:
            return 0.0
        distance = float((ordinary.mean - outliers.mean).square().sum())
        return distance * ordinary.tokens * outliers.tokens / self.tokens


class _Group:
    """Sums over some of the tokens: row after row, in float64."""

    def __init__(self, width: int, device: torch.device | str) -> None:
        self.tokens = 0
        self._origin = torch.zeros(width, dtype=torch.float64, device=device)
        self._sums = torch.zeros(5 + 2 * width, dtype=torch.float64, device=device)

    def add(self, y: Tensor, reconstruction: Tensor) -> None:
        """Take in targets and reconstructions (n, D) float64."""
        if not len(y):
            return
        if not self.tokens:
            # A variance is a difference of sums. These are small about a place within the data,
            # and targets that are all the same have a variance of exactly 0.
            self._origin = y[0].clone()
        self.tokens += len(y)
        error, shifted = reconstruction - y, y - self._origin
        length = reconstruction.square().sum(dim=1)
        product = (reconstruction * y).sum(dim=1)
        lengths = (length * y.square().sum(dim=1)).sqrt()
        cosine = torch.where(lengths > 0, product / lengths, 0)
        squares = error.square().sum(dim=1), shifted.square().sum(dim=1)
        numbers = torch.stack((squares[0], length, product, cosine, squares[1]), dim=1)
        rows = torch.cat((numbers, error, shifted), dim=1)  # (n, 5 + 2 D)
        if rows.is_cuda:
            self._sums = self._sums + rows.sum(dim=0)
        else:
            self._sums = torch.cat((self._sums[None], rows)).cumsum(dim=0)[-1]

    @property
    def numbers(self) -> Tensor:
        """(4,): the sums of |e|^2, |y^|^2, <y^, y> and the cosine of y^ and y."""
        return self._sums[:4]

    @property
    def error(self) -> Tensor:
        """(D,): the sum of e."""
        return self._sums[5:].chunk(2)[0]

    @property
    def mean(self) -> Tensor:
        """(D,): the mean of y."""
        return self._origin + self._sums[5:].chunk(2)[1] / self.tokens

    @property
    def variance(self) -> float:
        """Sum |y_n - mean|^2."""
        shifted = self._sums[5:].chunk(2)[1]
        return _about_mean(float(self._sums[4]), shifted, self.tokens)


def _about_mean(squares: float, total: Tensor, tokens: int) -> float:
    """Return sum |v_n - mean|^2 of vectors v_n from sum |v_n|^2 and sum v_n (D,)."""
    return max(squares - float(total.square().sum()) / max(tokens, 1), 0.0)  # rounding: below 0


def ratio(part: float, whole: float) -> float:
    """Return part / whole; where whole is 0, infinity with the sign of part, or NaN for 0 / 0."""
    if whole:
        return part / whole
    return math.copysign(math.inf, part) if part else math.nan


def _share(latents: Tensor) -> float:
    return int(latents.sum()) / len(latents)
