"""Whether two stores are of the same tokens, row by row."""

from .store import ActivationStore


def difference(one: ActivationStore, other: ActivationStore) -> str | None:
    """Say what shows that two stores are not of the same tokens; None if nothing does."""
    skips = [store.meta.get("skip_first") for store in (one, other)]
    if None not in skips and skips[0] != skips[1]:
        return (
            "only one leaves out the first token of each sequence; harvest both "
            "with the same skip_first"
        )
    if one.rows != other.rows:
        return f"they have {one.rows:,} and {other.rows:,} rows"
    if one.shard_rows != other.shard_rows:
        return "their files divide the rows differently; harvest both together"
    known = zip(one.shard_tokens, other.shard_tokens, strict=True)
    if any(None not in pair and pair[0] != pair[1] for pair in known):
        return "they are of other tokens; harvest both together"
    return None
