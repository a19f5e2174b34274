"""The TopK sparse autoencoder of section 2.1 of arXiv 2501.16615, and those others may have."""

import math
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn

from ..common.files import StrPath
from ..kernels.autoencode import topk_autoencode
from ..kernels.decode import sparse_decode
from ..kernels.topk import TopK
from .active_latents import active_latents
from .config import SAEConfig
from .formats import native
from .formats.registry import load
from .formats.stored import StoredSAE
from .hub import HubOptions, locate_pretrained
from .hub.card import Card, CardSAE, card_text, shape_facts
from .hub.pushing import Upload, carry_out, prepare
from .loss import fvu


class SAEOutput(NamedTuple):
    """What an SAE makes of activations (..., D)."""

    reconstruction: Tensor
    """(..., D), in the SAE's dtype."""
    values: Tensor
    """(..., k), the active latents' values, descending; 0 where fewer than k are positive."""
    indices: Tensor
    """(..., k) int64, the active latents; -1 where fewer than k are positive."""
    fvu: Tensor
    """Scalar, fraction of variance unexplained over all rows, in float32 (float64 for float64); NaN
    where the reconstruction has another width than the activations."""


class SAE(nn.Module):
    """x^ = W_dec^T TopK(relu(W_enc (x - b_dec) + b_enc)) + b_dec.

    Its parameters have sparsify's names: ``encoder.weight`` (L, D), ``encoder.bias`` (L,),
    ``W_dec`` (L, D), ``b_dec`` (D,); ``threshold`` (L,) with activation "jumprelu" and "batch_topk"
    (there all are equal); ``r_mag`` and ``mag_bias`` (L,) with "gated", whose gate's bias is
    ``encoder.bias``; ``W_skip`` (D, D) with a skip connection. Normalisation "layer_norm" takes
    (x - mean) / (std + 1e-5), with the unbiased std of the token, in place of x, and makes x^ * std
    + mean of the result; "standardize" does the first alone; "constant_norm" takes x sqrt(D) / |x|.

    Args:
        config: the SAE's shape.
        seed: the encoder starts as ``nn.Linear`` would after ``torch.manual_seed(seed)``, without
            touching torch's global generator; None draws from the global one. The decoder starts
            as a copy of the encoder (rows at unit norm if ``config.normalize_decoder``), the biases
            at 0.
        dtype: of the parameters; the numbers are drawn in float32 whatever it is.
    """

    threshold: nn.Parameter | None
    r_mag: nn.Parameter | None
    mag_bias: nn.Parameter | None
    W_skip: nn.Parameter | None

    def __init__(
        self, config: SAEConfig, *, seed: int | None = None, dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__()
        self.config = config
        weight = torch.empty(config.num_latents, config.d_in)  # (L, D)
        generator = None if seed is None else torch.Generator().manual_seed(seed)
        # a=sqrt(5) is nn.Linear's own choice: uniform within 1 / sqrt(D).
        nn.init.kaiming_uniform_(weight, a=math.sqrt(5), generator=generator)
        self.encoder = nn.Linear(config.d_in, config.num_latents, device="meta")  # drawn above
        self.encoder.weight = nn.Parameter(weight.to(dtype))
        self.encoder.bias = nn.Parameter(torch.zeros(config.num_latents, dtype=dtype))
        if not config.d_out:
            self.W_dec = nn.Parameter(weight.to(dtype, copy=True))
        else:
            self.W_dec = nn.Parameter(
                torch.zeros(config.num_latents, config.out_width, dtype=dtype)
            )
        self.b_dec = nn.Parameter(torch.zeros(config.out_width, dtype=dtype))
        for name in ("threshold", "r_mag", "mag_bias", "W_skip"):
            shape = config.parameter_shapes.get(name)
            parameter = None if shape is None else nn.Parameter(torch.zeros(shape, dtype=dtype))
            self.register_parameter(name, parameter)
        if config.normalize_decoder:
            self.normalize_decoder()

    @classmethod
    def from_pretrained(
        cls,
        repo_or_dir: StrPath,
        hookpoint: str | None = None,
        *,
        revision: str | None = None,
        cache_dir: StrPath | None = None,
        token: str | bool | None = None,
        local_files_only: bool = False,
    ) -> Self:
        """Return the SAE of a folder, a file or a repository of the Hugging Face Hub.

        Any format that `load_sae` reads will do. The other arguments are huggingface_hub's.

        Args:
            repo_or_dir: a path if there is one of this name, else a repository, such as
                "EleutherAI/sae-pythia-160m-32k"; or a whole name, "hf:OWNER/REPO[@REVISION]:PATH"
                or "saelens:RELEASE/ID".
            hookpoint: the folder or file in it, such as "layers.6.mlp" or "layers.6.mlp/seed1";
                None: it is itself an SAE.
            revision: branch, tag or commit; None: the main branch.
            cache_dir: the Hub's local cache; None: its usual place.
            token: for private repositories; None: the one that was saved by logging in.
            local_files_only: never ask the Hub, take what the cache has.

        Raises:
            FileNotFoundError: there is no such folder, repository or SAE, or it may not be read.
            OSError: the Hub cannot be reached.
            ValueError: as for `load_sae`.
        """
        cache = None if cache_dir is None else str(cache_dir)
        options = HubOptions(cache, token, local_files_only)
        found = locate_pretrained(repo_or_dir, hookpoint, revision, options)
        return cls.from_stored(load(found.path, **found.settings))

    def push_to_hub(
        self, repo_id: str, *, public: bool = False, token: str | bool | None = None
    ) -> str:
        """Push this SAE to a repository of the Hugging Face Hub, with a card that tells its shape.

        `sae.push.push_to_hub` pushes folders of a training run, with a card that tells much more.

        Args:
            repo_id: OWNER/NAME; a new repository is private unless ``public``.
            public: an old repository stays what it is; a public one is only pushed to with this.
            token: of the Hub; None: the one that was saved by logging in.

        Returns:
            The address of the repository's page.

        Raises:
            ValueError, PermissionError, OSError: as for `sae.push.push_to_hub`.
        """
        options = HubOptions(token=token)
        card = card_text(Card(repo_id, [CardSAE("", shape_facts(self.config))]))
        with TemporaryDirectory() as folder:
            native.save(self.stored(), Path(folder))
            upload = Upload({path.name: path for path in Path(folder).iterdir()}, card, {})
            push = prepare(upload, repo_id, "model", options, public=public, new_card=False)
            return carry_out(push, options)

    @classmethod
    def from_stored(cls, stored: StoredSAE) -> Self:
        """Return the SAE with a file's configuration and tensors; it shares their memory."""
        with torch.device("meta"):
            sae = cls(stored.config)
        sae.load_state_dict(stored.tensors, assign=True)
        return sae

    def stored(self) -> StoredSAE:
        """Return the configuration and the parameters, which share this SAE's memory."""
        tensors = {name: parameter.detach() for name, parameter in self.named_parameters()}
        return StoredSAE(self.config, tensors)

    def encode(self, x: Tensor) -> TopK:
        """Return the active latents of activations ``x`` (..., D).

        ``x`` is converted to the SAE's dtype. The result's values and indices are (..., k); see
        `SAEOutput`.

        Raises:
            ValueError: the last dimension of ``x`` is not d_in.
        """
        rows, _ = self._normalize(self._rows(x))
        weight, bias = self.encoder.weight, self._encoder_bias()
        latents = {
            "threshold": self.threshold,
            "gate_bias": self.encoder.bias,
            "r_mag": self.r_mag,
            "mag_bias": self.mag_bias,
        }
        if self.config.activation == "normed_topk":
            latents["norms"] = torch.linalg.vector_norm(self.W_dec, dim=1)
        top = active_latents(rows, weight, bias, self.config, latents)
        shape = (*x.shape[:-1], top.values.shape[1])
        return top._replace(values=top.values.reshape(shape), indices=top.indices.reshape(shape))

    def decode(self, values: Tensor, indices: Tensor) -> Tensor:
        """Return the sum (..., D) of latents ``values``, ``indices`` (..., k), and b_dec.

        That is the reconstruction, except for the skip connection and the normalisation: these
        depend on the input.
        """
        k = values.shape[-1]
        size = values.shape[:-1].numel()  # -1 would be ambiguous where no latent is active: k = 0
        flat = values.reshape(size, k), indices.reshape(size, k)
        rows = sparse_decode(*flat, self.W_dec, self.b_dec)
        return rows.reshape(*values.shape[:-1], self.config.out_width)

    def output_scale(self, x: Tensor) -> Tensor:
        """Return what the sum of a token's latents is multiplied by in its reconstruction.

        That is 1, except where a normalisation of the token is undone: its standard deviation for
        "layer_norm", its length over sqrt(D) for "constant_norm".

        Args:
            x: activations (..., D).

        Returns:
            (...) float64.
        """
        rows = self._rows(x).double()
        _, undo = self._normalize(rows)  # it is affine
        scale = undo(rows.new_ones(len(rows), 1)) - undo(rows.new_zeros(len(rows), 1))
        return scale.reshape(x.shape[:-1])

    def forward(self, x: Tensor) -> SAEOutput:
        """Encode and decode activations ``x`` (..., D); see `SAEOutput`."""
        rows = self._rows(x)
        if (
            self.config.activation == "topk"
            and self.config.normalization == "none"
            and not self.config.d_out
            and self.W_skip is None
        ):
            return self._forward_topk(rows, x.shape)
        top = self.encode(x)
        _, undo = self._normalize(rows)
        decoded = self.decode(top.values, top.indices)
        reconstruction = undo(decoded.reshape(-1, self.config.out_width))
        if self.W_skip is not None:
            reconstruction = reconstruction + rows @ self.W_skip.T
        shape = (*x.shape[:-1], self.config.out_width)
        loss = fvu(rows, reconstruction) if shape == x.shape else rows.new_tensor(math.nan)
        return SAEOutput(reconstruction.reshape(shape), top.values, top.indices, loss)

    def _forward_topk(self, rows: Tensor, shape: torch.Size) -> SAEOutput:
        """Do the same as `forward` with one op, for rows (N, D) of activations of this shape."""
        k, bias = self.config.k, self._encoder_bias()
        found = topk_autoencode(rows, self.encoder.weight, bias, self.W_dec, self.b_dec, k)
        values, indices = (t.reshape(*shape[:-1], k) for t in (found.values, found.indices))
        return SAEOutput(found.recon.reshape(shape), values, indices, found.fvu)

    @torch.no_grad()
    def normalize_decoder(self) -> None:
        """Scale every row of ``W_dec`` to unit norm; zero rows stay zero."""
        norm = torch.linalg.vector_norm(self.W_dec, dim=1, keepdim=True)  # (L, 1)
        self.W_dec.div_(norm.clamp_min_(torch.finfo(norm.dtype).tiny))

    def _encoder_bias(self) -> Tensor:
        """Return b_enc (L,), less W_enc b_dec if the encoder reads x - b_dec."""
        bias: Tensor = self.encoder.bias
        return bias if self.config.transcode else bias - self.encoder.weight @ self.b_dec

    def _rows(self, x: Tensor) -> Tensor:
        if x.ndim == 0 or x.shape[-1] != self.config.d_in:
            raise ValueError(f"x must be (..., {self.config.d_in}), got {tuple(x.shape)}")
        return x.reshape(-1, self.config.d_in).to(self.W_dec.dtype)  # (N, D)

    def _normalize(self, rows: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """Return what the encoder reads of (N, D), and what undoes that to the reconstruction."""
        if self.config.normalization in ("layer_norm", "standardize"):
            mean = rows.mean(dim=1, keepdim=True)
            std = (rows - mean).std(dim=1, keepdim=True)
            read = (rows - mean) / (std + 1e-5)
            if self.config.normalization == "standardize":
                return read, lambda decoded: decoded
            return read, lambda decoded: decoded * std + mean
        if self.config.normalization == "constant_norm":
            scale = self.config.d_in**0.5 / torch.linalg.vector_norm(rows, dim=1, keepdim=True)
            return rows * scale, lambda decoded: decoded / scale
        return rows, lambda decoded: decoded
