"""Links from the overview into the latent browser, which reads its view from its address."""

from urllib.parse import quote

BROWSER = "latents.html"


def view(base: str, other: str | None = None, **choices: str) -> str:
    """Return the address of a view of the latents of one SAE.

    Args:
        base: the SAE's name.
        other: the one beside it; None: the browser's choice.
        choices: further ones, as `matching/report/app/src/address.ts` lists them, such as
            ``show="and"``, or a range of a column, ``seeds="2:2"``.
    """
    given = {"base": base} | ({} if other is None else {"with": other}) | choices
    parts = (f"{quote(name)}={quote(value, safe=':,')}" for name, value in given.items())
    return f"{BROWSER}#{'&'.join(parts)}"
