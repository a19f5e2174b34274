"""Whether SAEs can be evaluated on activations of these widths."""

from collections.abc import Mapping

from ..model import SAE


def check_saes(
    saes: Mapping[str, SAE], width: int, target_width: int | None, *, where: str
) -> None:
    """Raise for an SAE that does not fit the activations, or that needs others as its target.

    Args:
        saes: by name.
        width: of what the SAEs read.
        target_width: of what transcoders are to reconstruct; None: there is no such target.
        where: what the SAEs read, for messages.

    Raises:
        ValueError: there is no SAE, or one does not fit.
    """
    if not saes:
        raise ValueError("saes: expected one or more to evaluate, got none")
    for name, sae in saes.items():
        config = sae.config
        if config.d_in != width:
            raise ValueError(
                f"{name} reads activations of width {config.d_in:,}, but those of {where} have "
                f"width {width:,}"
            )
        if target_width is None and (config.d_out or config.skip_connection):
            raise ValueError(f"{name} is a transcoder: it needs a target, what it reconstructs")
        if target_width is not None and not config.transcode:
            raise ValueError(f"{name} is no transcoder: it reconstructs its input, not a target")
        if target_width is not None and config.out_width != target_width:
            raise ValueError(
                f"{name} reconstructs activations of width {config.out_width:,}, but those of the "
                f"target have width {target_width:,}"
            )
