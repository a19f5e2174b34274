"""The optimiser's step, and its state as files hold it."""

from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ...kernels.grads import LatentGrads
from ...kernels.update import AdamStep
from ..loss import squared_norm
from ..model import SAE
from ..train_config import TrainConfig, check_optimizer
from .gradients import Gradients, remove_parallel
from .latent_adam import MATRICES, LatentAdam

SEED = 0  # of the random bits that round moments to bfloat16
SIGNUM_MOMENTUM = 0.95
_LR = {"adam": 2e-4, "adam8bit": 2e-4, "signum": 5e-3, "muon": 2e-3}
_WHOLE = "#"  # ends the saved name of what is an int
_NUMBERS = ("k", "weight_sum", "lr_max")  # of schedule-free averaging


class Schedule:
    """The learning rate of every step: up linearly from 0, at its peak, then down linearly to 0.

    With ``decay`` 1 it is that of transformers' ``get_linear_schedule_with_warmup``, which sparsify
    uses, except for two things: the first step has not rate 0 but that of the second, and the
    warm-up is at most half of the run.

    Args:
        config: with ``optimizer``, ``lr``, ``warmup_steps``, ``decay`` and what is said of
            sparsity.
        num_latents: of the SAE.
        total_steps: of the whole run.
    """

    def __init__(self, config: TrainConfig, num_latents: int, total_steps: int) -> None:
        self.peak = config.lr or _LR[config.optimizer]
        if config.lr is None and config.optimizer != "muon":
            self.peak /= (num_latents / 2**14) ** 0.5
        self.total = total_steps
        self.warmup = min(config.warmup_steps, total_steps // 2)
        self.fall = min(round(config.decay * total_steps), total_steps - self.warmup)
        if config.optimizer == "signum":  # averaging takes its place
            self.fall = 0
        self.sparsity = config.sparsity
        self.rise_of_sparsity = round(config.sparsity_warmup * total_steps)

    def lr(self, step: int) -> float:
        """Return the rate of the update that follows ``step`` earlier ones."""
        if step < self.warmup:
            return self.peak * (step + 1) / (self.warmup + 1)
        left = self.total - step
        return self.peak * left / self.fall if left < self.fall else self.peak

    def sparsity_at(self, step: int) -> float:
        """Return the weight of the sparsity penalty in the update that follows ``step`` others."""
        return self.sparsity * min(1.0, (step + 1) / (self.rise_of_sparsity + 1))


class Optimizer:
    """What moves the parameters of one SAE.

    Adam, with torch's fused kernel; with 8-bit moments, that of bitsandbytes (arXiv 2110.02861);
    the sign of the gradient with schedule-free averaging (arXiv 2405.15682), that of schedulefree;
    or Muon for matrices, with Adam at a tenth of the rate for vectors, both torch's.

    Raises:
        ImportError: the library is not installed; the message says how to get it.
    """

    def __init__(self, sae: SAE, config: TrainConfig) -> None:
        check_optimizer(config)
        self._sae = sae
        self._config = config
        parameters = dict(sae.named_parameters())
        matrices = [p for p in parameters.values() if p.ndim == 2]
        vectors = [p for p in parameters.values() if p.ndim < 2]
        self._averaged = None
        self._rows: LatentAdam | None = None
        self._parts: list[Any] = []
        self._factors: tuple[float, ...] = (1.0,)
        adam: dict[str, Any] = {"betas": config.betas, "eps": config.eps}
        # Fused: one pass over each tensor, element by element: the same bits for any threads.
        match config.optimizer:
            case "adam" if config.in_one_pass:
                self._rows = LatentAdam(sae, config)
                others = [p for name, p in parameters.items() if name not in MATRICES]
                self._parts = [torch.optim.Adam(others, fused=True, **adam)]
            case "adam":
                self._parts = [torch.optim.Adam(sae.parameters(), fused=True, **adam)]
            case "adam8bit":
                bitsandbytes: Any = import_module("bitsandbytes")
                self._parts = [bitsandbytes.optim.Adam8bit(sae.parameters(), **adam)]
            case "signum":
                library: Any = import_module("schedulefree")
                base = _SignDescent(sae.parameters())
                self._averaged = library.ScheduleFreeWrapper(base, momentum=SIGNUM_MOMENTUM)
                self._averaged.train()
                self._parts = [self._averaged]
            case "muon":
                muon = torch.optim.Muon(matrices, adjust_lr_fn="match_rms_adamw")
                self._parts = [muon, torch.optim.Adam(vectors, fused=True, **adam)]
                self._factors = (1.0, 0.1)

    @property
    def writes_gradients(self) -> bool:
        """Whether a step needs memory for all gradients."""
        return self._rows is None

    def step(
        self, gradients: Gradients, lr: float, number: int, memory: LatentGrads | None = None
    ) -> None:
        """Take one step down the gradients; the decoder's rows keep unit norm if they have it.

        Args:
            gradients: of this SAE.
            lr: the learning rate.
            number: of this step, from 1 on.
            memory: for gradients that must be written; see `Gradients.written`.
        """
        if self._rows is not None:
            scale, norm = 1.0, self._config.clip
            if norm:
                found = self._rows.vectors(gradients)
                scale = float(clipping(norm, found, self._rows.squares(gradients)))
            betas, eps = self._config.betas, self._config.eps
            found = self._rows.step(gradients, AdamStep(lr, number, *betas, eps, scale, SEED))
            self._move(found, lr, scale)
            return
        found = gradients.written(memory)
        if self._sae.config.normalize_decoder:
            remove_parallel(found["W_dec"], self._sae.W_dec)
        clip = self._config.clip
        self._move(found, lr, clipping(clip, found) if clip else 1.0)
        if self._sae.config.normalize_decoder:
            self._sae.normalize_decoder()

    def _move(self, gradients: Mapping[str, Tensor], lr: float, scale: Tensor | float) -> None:
        for name, parameter in self._sae.named_parameters():
            gradient = gradients.get(name)
            if gradient is not None and not (isinstance(scale, float) and scale == 1):
                gradient = gradient * scale
            parameter.grad = gradient
        for part, share in zip(self._parts, self._factors, strict=True):
            for group in part.param_groups:
                group["lr"] = lr * share
            part.step()
        self._sae.zero_grad()

    @torch.no_grad()
    def result(self) -> dict[str, Tensor]:
        """Return the parameters to keep, by name: the averages, where there are any."""
        parameters = {name: p.detach() for name, p in self._sae.named_parameters()}
        if self._averaged is None:
            return parameters
        for name, parameter in self._sae.named_parameters():
            if "z" in (state := self._averaged.state[parameter]):
                # The parameter is where the gradient is taken, between the average and z.
                parameters[name] = parameter.lerp(state["z"], 1 - 1 / SIGNUM_MOMENTUM)
        if self._sae.config.normalize_decoder:
            parameters["W_dec"] = normalize(parameters["W_dec"])
        return parameters

    def tensors(self) -> dict[str, Tensor]:
        """Return the state by names, to save it."""
        found = {}
        if self._rows is not None:
            # As torch's Adam has them, so that a run may go on with it, on a GPU.
            step = self._parts[0].state[self._sae.b_dec]["step"]
            for name, moments in self._rows.moments.items():
                found[f"optimizer0.step.{name}"] = step.clone()
                for key, tensor in moments._asdict().items():
                    found[f"optimizer0.{key}.{name}"] = tensor
        for part, group, label in self._groups():
            for key in _NUMBERS:
                if key in group:
                    found[f"{label}.{key}"] = torch.tensor(float(group[key]), dtype=torch.float64)
            for name, parameter in self._named(group):
                for key, value in part.state[parameter].items():
                    whole = isinstance(value, int)
                    found[f"{label}.{key}{_WHOLE if whole else ''}.{name}"] = torch.as_tensor(value)
        return found

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take the state that `tensors` returned."""
        if self._rows is not None:
            for name, moments in self._rows.moments.items():
                for key, tensor in moments._asdict().items():
                    tensor.copy_(tensors[f"optimizer0.{key}.{name}"])
        for part, group, label in self._groups():
            for key in _NUMBERS:
                if f"{label}.{key}" in tensors:
                    group[key] = float(tensors[f"{label}.{key}"])
            for name, parameter in self._named(group):
                start, end = f"{label}.", f".{name}"
                state: dict[str, object] = {}
                for key, value in tensors.items():
                    if key.startswith(start) and key.endswith(end):
                        own = key.removeprefix(start).removesuffix(end)
                        if own.endswith(_WHOLE):
                            state[own.removesuffix(_WHOLE)] = int(value)
                        else:
                            state[own] = value.to(parameter.device, copy=True)
                part.state[parameter] = state

    def _groups(self) -> Iterator[tuple[Any, dict[str, Any], str]]:
        for number, part in enumerate(self._parts):
            (group,) = part.param_groups
            yield part, group, f"optimizer{number}"

    def _named(self, group: Mapping[str, Any]) -> list[tuple[str, Tensor]]:
        own = {id(parameter) for parameter in group["params"]}
        return [(name, p) for name, p in self._sae.named_parameters() if id(p) in own]


def clipping(
    limit: float, gradients: Mapping[str, Tensor], squares: Tensor | float = 0.0
) -> Tensor:
    """Return the factor by which gradients whose norm is over the limit are scaled down.

    ``squares`` are those of gradients that are not among them.
    """
    rows = [g if g.ndim == 2 else g.unsqueeze(1) for g in gradients.values()]
    norm = (torch.stack([squared_norm(each) for each in rows]).sum() + squares).sqrt()
    return (limit / (norm + 1e-6)).clamp(max=1.0)  # as torch's clip_grad_norm_


class _SignDescent(torch.optim.Optimizer):
    """Moves each number by the learning rate, against its gradient's sign."""

    def __init__(self, parameters: Iterable[Tensor]) -> None:
        super().__init__(parameters, {"lr": 0.0})

    @torch.no_grad()
    def step(self, _closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.add_(parameter.grad.sign(), alpha=-group["lr"])
