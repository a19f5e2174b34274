"""The tables that `twinsae substitute` prints."""

from typing import Any

from rich.table import Table


def tables(found: dict[str, Any]) -> list[Table]:
    """Return the tables of a summary of `matching.substitution.files.substitute`."""
    shown = [_choices(found)]
    if found["model"] is not None:
        shown += [_areas(found["model"]), _strata(found["model"]["strata"])]
    return shown


def _choices(found: dict[str, Any]) -> Table:
    title = f"Partners in place of {found['live']:,} live latents, {found['tokens']:,} tokens"
    columns = ("cosine", "direction\navoided", "area", "activation\navoided", "area")
    table = _table(title, "partner", *columns)
    table.caption = (
        f"FVU {found['fvu']:.4f}; avoided: share of what removal costs, one latent at a time; "
        "area: share of the explained variance left, many latents at a time"
    )
    for name, of in found["choices"].items():
        numbers = [of["mean_cosine"]]
        for kind in ("direction", "activation"):
            numbers += [of["avoided"][kind], of["area"][kind]]
        table.add_row(name, *map(_number, numbers))
    return table


def _areas(model: dict[str, Any]) -> Table:
    title = f"Directions replaced within the model, {model['tokens']:,} predicted tokens"
    table = _table(title, "partner", "area\nCE", "area\nKL")
    table.caption = (
        f"CE {model['ce_sae']:.4f}, KL {model['kl_sae']:.4f} with none replaced; "
        f"with the mean {model['ce_mean']:.4f}, {model['kl_mean']:.4f}"
    )
    for name, of in model["areas"].items():
        table.add_row(name, _number(of["ce"]), _number(of["kl"]))
    return table


def _strata(strata: list[dict[str, Any]]) -> Table:
    kinds = ("removed", "direction", "activation")
    table = _table(
        "Single latents: rise of KL per firing, in millinats", "cosine", "latents", *kinds
    )
    for of in strata:
        changes = (f"{1e3 * of[f'kl_{kind}']:.2f}" for kind in kinds)
        limits = f"{of['cosine_to']:.2f} to {of['cosine_from']:.2f}"
        table.add_row(limits, str(of["latents"]), *changes)
    return table


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _table(title: str, name: str, *numbers: str) -> Table:
    table = Table(title=title)
    table.add_column(name)
    for column in numbers:
        table.add_column(column, justify="right")
    return table
