"""A configuration: what SAEs of one group have in common, all except their seeds."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..sae import SAEConfig, TrainConfig
from ..sae.activations import HarvestConfig
from ..sae.config import Activation
from ..sae.train_config import check_settings, only_its_own
from .factors import DEFAULTS, HARVEST, SHAPE, STREAM, TRAINING

BASE = "base"
_NO_NAME = re.compile(r"[^A-Za-z0-9._]+")


@dataclass(frozen=True, eq=False)
class Configuration:
    """SAEs that differ in their seeds alone."""

    source: str
    """The folder of the activations of this model and text, whatever their number."""
    stream: str
    """The folder of all that is trained on the same stream of activations."""
    variant: str
    """What tells these SAEs from others of the stream and the hookpoint."""
    settings: Mapping[str, Any]
    """Every factor's value."""
    seeds: tuple[int, ...]

    @property
    def hookpoint(self) -> str:
        """The module whose output is read."""
        return str(self.settings["hookpoint"])

    @property
    def folder(self) -> str:
        """Where the SAEs and their matches lie, below the folders of each."""
        return f"{self.stream}/{self.hookpoint}/{self.variant}"

    @property
    def harvest(self) -> HarvestConfig:
        """Which activations of this hookpoint are stored: those of the training, or the first."""
        stored = self.settings["stored_tokens"]
        return self._read if stored is None else replace(self._read, tokens=stored)

    @property
    def streamed(self) -> HarvestConfig | None:
        """Which activations of this hookpoint are harvested while SAEs are trained on them."""
        return None if self.settings["stored_tokens"] is None else self._read

    @property
    def _read(self) -> HarvestConfig:
        """Which activations of this hookpoint they are trained on."""
        settings = {name: self.settings[name] for name in HARVEST}
        return HarvestConfig(hookpoint=(self.hookpoint,), **settings)

    @property
    def training(self) -> TrainConfig:
        """How they are trained; settings that this architecture does not know are left out."""
        settings = {name: self.settings[name] for name in TRAINING}
        return only_its_own(self._kind, TrainConfig(seeds=self.seeds, **settings))

    def sae(self, d_in: int) -> SAEConfig:
        """Return their shape.

        Raises:
            ValueError: the sizes do not fit one another.
        """
        shape = {name: self.settings[name] for name in SHAPE if name != "architecture"}
        return SAEConfig(d_in=d_in, activation=self._kind, **shape)

    def check(self, own: Mapping[str, Any]) -> None:
        """Raise for values that are out of range or do not fit one another.

        Args:
            own: the factors that were given for this configuration itself, and not for all; its
                architecture must know them.

        Raises:
            ValueError, TypeError: the message names the factor.
        """
        (hookpoint,) = self.harvest.hookpoint  # the harvest's settings check themselves
        if self.streamed is not None and self.harvest.tokens >= self.streamed.tokens:
            raise ValueError(
                f"stored_tokens: expected fewer than the {self.streamed.tokens:,} tokens, "
                f"got {self.harvest.tokens:,}; without it, all are stored"
            )
        if any(letter in hookpoint for letter in "*?["):
            raise ValueError(f"hookpoint: expected one module, got the pattern {self.hookpoint}")
        if self.settings["num_latents"]:
            self.sae(1)
        wide = self.sae(2**20)
        check_settings(wide, self.training)
        # What the architecture does not know was left out there, but it may not be asked for here.
        given = {name: own[name] for name in TRAINING if name in own}
        check_settings(wide, replace(self.training, **given))
        if "k" in own and not wide.k:
            raise ValueError(f"k: {self._kind} has no such number")

    @property
    def _kind(self) -> Activation:
        kind: Activation = self.settings["architecture"]
        return kind


def configuration(
    settings: Mapping[str, Any], base: Mapping[str, Any], seeds: Sequence[int]
) -> Configuration:
    """Return the configuration of some factors, named by what tells it from the base.

    Args:
        settings: the factors that are given for it or for all, in the factors' own types.
        base: those given for all.
        seeds: of its SAEs.
    """
    whole, ordinary = {**DEFAULTS, **settings}, {**DEFAULTS, **base}
    other = [name for name in whole if whole[name] != ordinary[name] and name != "hookpoint"]
    of_stream = [name for name in other if name in STREAM]
    of_sae = [name for name in other if name not in STREAM]
    of_source = [name for name in of_stream if name in HARVEST and name != "tokens"]
    source, stream, variant = (_name(factors, whole) for factors in (of_source, of_stream, of_sae))
    return Configuration(source, stream, variant, whole, tuple(seeds))


def _name(factors: Sequence[str], settings: Mapping[str, Any]) -> str:
    parts = [f"{name}={_NO_NAME.sub('-', _text(settings[name]))}" for name in factors]
    return ",".join(parts) or BASE


def _text(value: Any) -> str:
    return "-".join(map(str, value)) if isinstance(value, tuple) else str(value)
