"""Tables that lie beside an SAE and are of its weights alone."""

from pathlib import Path

from ...common.files import StrPath
from ...common.tables import Table, load_table


def load_sae_table(
    path: StrPath, name: str, format_name: str, sae_sha256: str, *, made: str, command: str
) -> Table:
    """Read a table, and refuse that of other weights.

    Args:
        path: the .npz file, or the folder that holds the file ``name``, such as the SAE's own.
        name: of the file.
        format_name: as for `load_table`.
        sae_sha256: the SHA-256 of the SAE's weight file.
        made: what was done to make it, such as "counted".
        command: what makes it anew.

    Raises:
        FileNotFoundError: there is no table, or no description beside it.
        ValueError: the table is of other weights, or a file is corrupt.
    """
    file = Path(path)
    if file.is_dir():
        file /= name
    table = load_table(file, format_name)
    found = table.facts["sae"]["sha256"]
    if found != sae_sha256:
        raise ValueError(
            f"{file} was {made} with other weights (SHA-256 {found[:12]}..., expected "
            f"{sae_sha256[:12]}...): run `{command}` again"
        )
    return table
