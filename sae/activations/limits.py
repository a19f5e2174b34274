"""What a language model can be given: how many positions, and which token ids."""

from typing import Any

from torch import Tensor, nn

_POSITIONS = ("max_position_embeddings", "n_positions", "n_ctx")


def check_context(model: Any, context: int) -> None:
    """Raise if a sequence is longer than the model has positions for.

    Raises:
        ValueError: it is; the message names the limit.
    """
    config = model.config.get_text_config()
    for name in _POSITIONS:
        positions = getattr(config, name, None)
        if isinstance(positions, int) and positions > 0:
            usable = positions - _first_position(model, positions)
            if context > usable:
                raise ValueError(
                    f"context: {context:,} tokens are more than the {usable:,} positions of "
                    f"{type(model).__name__} ({name} = {positions:,} in its config)"
                )
            return


def _first_position(model: nn.Module, positions: int) -> int:
    """Return the position of the first token: RoBERTa and ESM count from their padding on."""
    for name, module in model.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, nn.Embedding):
            padding = module.padding_idx
            if padding is not None and module.num_embeddings == positions:
                return padding + 1
    return 0


def check_token_ids(input_ids: Tensor, model: Any, tokenizer: Any) -> None:
    """Raise if the model's embedding has no row for one of the ids.

    Raises:
        ValueError: it has not; the message says what the tokenizer has.
    """
    largest, rows = int(input_ids.max()), len(model.get_input_embeddings().weight)
    if largest >= rows:
        raise ValueError(
            f"token id {largest:,} is out of range: the embedding of {type(model).__name__} has "
            f"{rows:,} rows; its tokenizer has {len(tokenizer):,} tokens"
        )
