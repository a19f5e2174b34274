"""Which SAEs `twinsae train` trains side by side: one of each kind and size asked for."""

from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING

from ..sae import SAEConfig, TrainConfig
from ..sae.config import Activation, Trained
from ..sae.train_config import only_its_own

if TYPE_CHECKING:
    from ..sae import Start

_K = 32  # active latents per token


@dataclass(frozen=True)
class Shapes:
    """Kinds and sizes; an option with several values makes one SAE of each."""

    architecture: tuple[Trained, ...] = ()
    """How latents become active; by default as in --start, or topk. Several train side by side.
    relu, gated and jumprelu need --sparsity."""
    latents: tuple[int, ...] = (0,)
    """Latents of each SAE; 0: as --start, or --expansion-factor times the width. Several: one SAE
    of each size."""
    expansion_factor: int = 32
    """Latents per dimension of the activations, where neither --latents nor --start tells."""
    k: tuple[int, ...] = ()
    """Active latents per token, on average for batch_topk; by default those of --start, or 32.
    Several: one SAE for each."""
    prefixes: tuple[int, ...] = ()
    """Matryoshka: sizes of the nested dictionaries, up to the number of latents."""
    normalize_decoder: bool = True
    """Keep the decoder's rows at unit norm. With no, penalties count latents by these norms."""
    skip_connection: bool = False
    """Of transcoders: add a linear map of the input to the reconstruction."""

    @property
    def number(self) -> int:
        """How many SAEs of one seed are asked for, at most."""
        return max(len(self.architecture), 1) * len(self.latents) * max(len(self.k), 1)

    def variants(
        self, d_in: int, d_out: int, training: TrainConfig, start: "Start | None" = None
    ) -> dict[str, tuple[SAEConfig, TrainConfig]]:
        """Return the SAEs to train, each for all seeds.

        Args:
            d_in: width of the activations; 1 where it is not known yet.
            d_out: width of a transcoder's target, else 0.
            training: the settings of all.
            start: the SAE that the one SAE begins with.

        Returns:
            Shape and settings by the folder that tells one from the others; "" where there is one.

        Raises:
            ValueError: sizes do not fit one another, or the SAE to start with.
        """
        kinds: tuple[Activation, ...] = self.architecture or ("topk",)
        ks = self.k or (_K,)
        if start is not None:
            kinds = self.architecture or (start.config.activation,)
            ks = self.k or (start.config.k,)
        found = {}
        for kind, latents, k in product(kinds, self.latents, ks):
            sae = self._shape(d_in, d_out, kind, latents, k, start)
            parts = [
                kind if len(kinds) > 1 else "",
                f"{sae.num_latents}" if len(self.latents) > 1 else "",
                f"k{sae.k}" if sae.k and len(ks) > 1 else "",
            ]
            folder = "-".join(part for part in parts if part)
            config = only_its_own(kind, training) if len(kinds) > 1 else training
            found[f"{folder}/" if folder else ""] = sae, config
        return found

    def _shape(
        self, d_in: int, d_out: int, kind: Activation, latents: int, k: int, start: "Start | None"
    ) -> SAEConfig:
        if start is None:
            if d_in == 1 and not latents:  # the width is not known yet
                latents = self.prefixes[-1] if self.prefixes else max(k, 1)
            return SAEConfig(
                d_in, latents, self.expansion_factor, k, activation=kind,
                prefixes=self.prefixes, transcode=d_out > 0, d_out=d_out,
                # A transcoder begins without its decoder.
                normalize_decoder=self.normalize_decoder and not d_out,
                skip_connection=self.skip_connection,
            )  # fmt: skip
        if latents not in (0, start.config.num_latents):
            raise ValueError(
                f"latents: the SAE to start with has {start.config.num_latents:,}, got {latents:,}"
            )
        return replace(start.config, activation=kind, k=k)
