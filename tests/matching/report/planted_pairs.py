"""The planted matchings of a latent browser's folder: partners, cosines, and what they count to."""

import numpy as np

THRESHOLD = 0.7
SIDES = ("decoder", "encoder")
# A cosine counts if it is above the threshold. The float32 nearest to 0.7 is below it.
AT_THRESHOLDS = (0.5, 0.7, np.nextafter(np.float32(0.7), np.float32(1)))

Arrays = dict[str, np.ndarray]


def rounded(numbers) -> np.ndarray:
    """Round as the report does what is shown with three digits and never compared."""
    return (np.round(numbers * 4096.0) / 4096).astype(np.float32)


def plant_pair(rng, features_a, features_b, good_a, good_b, *, first) -> Arrays:
    """Match latents of the same feature; what is left over is matched to what is left over."""
    num_a, num_b = len(features_a), len(features_b)
    place = np.full(max(features_a.max(), features_b.max()) + 1, -1)
    place[features_b] = np.arange(num_b)
    decoder = place[features_a]
    free_a, free_b = np.flatnonzero(decoder < 0), np.setdiff1d(np.arange(num_b), decoder)
    matched = min(len(free_a), len(free_b))
    decoder[free_a[:matched]] = free_b[:matched]
    encoder = decoder.copy()
    moved = rng.choice(np.flatnonzero(decoder >= 0), min(num_a, num_b) // 6, replace=False)
    encoder[moved] = np.roll(encoder[moved], 1)

    shared = good_a & good_b[decoder] & (decoder >= 0)
    strong, weak = rng.beta(8, 1.2, num_a), rng.normal(0.3, 0.07, num_a)
    cosines = {"decoder": np.where(shared, strong, weak)}
    cosines["encoder"] = np.clip(cosines["decoder"] + rng.normal(-0.02, 0.08, num_a), -1, 1)
    cosines["encoder"][moved] -= 0.2
    for at, cosine in enumerate(AT_THRESHOLDS):
        cosines["decoder"][10 + at] = cosines["encoder"][10 + at] = cosine
    arrays: Arrays = {}
    for side, partner in (("decoder", decoder), ("encoder", encoder)):
        arrays |= _side(rng, side, partner, cosines[side].astype(np.float32), num_b)
    arrays |= _nearest(rng, arrays, num_a, num_b)
    if first:
        cosine = arrays["decoder.cosine"]
        arrays["decoder.sure_low"] = rounded(0.2 * np.nan_to_num(cosine))
        arrays["decoder.sure_high"] = rounded(0.3 * np.nan_to_num(cosine))
        arrays["activations.partner"] = np.where(shared, decoder, encoder).astype(np.int32)
        arrays["activations.cosine"] = (cosine - np.float32(0.1)).astype(np.float32)
    return arrays


def _side(rng, side, partner, cosine, num_b) -> Arrays:
    num_a = len(partner)
    has = partner >= 0
    cosine = np.where(has, cosine, np.nan).astype(np.float32)
    back = np.full(num_b, -1)
    back[partner[has]] = np.flatnonzero(has)
    back_cosine = np.where(back >= 0, cosine[back], np.nan)
    arrays = {
        "partner": partner.astype(np.int32),
        "cosine": cosine,
        "price": rounded(rng.uniform(0, 0.9, num_a) * np.nan_to_num(cosine)),
    }
    ends = (("", cosine, partner, num_b), ("back_", back_cosine, back, num_a))
    for prefix, own, with_, other in ends:
        some = rng.random(len(own)) < 0.05
        rival = np.where(some, rng.uniform(0.6, 0.9, len(own)), rng.normal(0.35, 0.06, len(own)))
        rival = rival.astype(np.float32)
        wins = np.nan_to_num(own, nan=-1) >= rival
        best = np.where(wins, with_, rng.integers(0, other, len(own)))
        arrays[f"{prefix}best"] = best.astype(np.int32)
        arrays[f"{prefix}best_cosine"] = np.where(wins, own, rival).astype(np.float32)
        arrays[f"{prefix}lead"] = rounded(own - rival)
    return {f"{side}.{name}": array for name, array in arrays.items()}


def _nearest(rng, arrays, num_a, num_b) -> Arrays:
    """Draw the nearest latents among those that `and` leaves out."""
    both = shared_mask(arrays)
    left_a = np.flatnonzero(~both)
    left_b = np.setdiff1d(np.arange(num_b), arrays["decoder.partner"][both])
    found = {}
    for prefix, size, left in (("", num_a, left_b), ("back_", num_b, left_a)):
        some = rng.choice(left, size) if len(left) else np.full(size, -1)
        found[f"{prefix}nearest"] = some.astype(np.int32)
        found[f"{prefix}nearest_cosine"] = rounded(rng.normal(0.3, 0.05, size))
    return {f"decoder.{name}": array for name, array in found.items()}


def criteria(arrays: Arrays, threshold: float = THRESHOLD) -> dict[str, np.ndarray]:
    """Return each criterion's (L_A,) mask, from what the pair's chunk holds."""
    cosines = [np.nan_to_num(arrays[f"{s}.cosine"].astype(np.float64), nan=-2) for s in SIDES]
    bests = [arrays[f"{s}.best_cosine"].astype(np.float64) for s in SIDES]
    partners = [arrays[f"{s}.partner"] for s in SIDES]
    decoder, encoder = (cosine > threshold for cosine in cosines)
    equal = (partners[0] == partners[1]) & (partners[0] >= 0)
    return {
        "and": decoder & encoder,
        "and_equal": decoder & encoder & equal,
        "decoder": decoder,
        "encoder": encoder,
        "mean": sum(cosines) / 2 > threshold,
        "max": (bests[0] > threshold) & (bests[1] > threshold),
        "max_decoder": bests[0] > threshold,
        "max_encoder": bests[1] > threshold,
        "equal": equal,
    }


def turned(arrays: Arrays) -> Arrays:
    """Return what B's latents see of A: partners and cosines of both sides, and the best ones."""
    found = {}
    for side in SIDES:
        partner, cosine = arrays[f"{side}.partner"], arrays[f"{side}.cosine"]
        has = partner >= 0
        back = np.full(len(arrays[f"{side}.back_best"]), -1)
        back[partner[has]] = np.flatnonzero(has)
        found[f"{side}.partner"] = back
        found[f"{side}.cosine"] = np.where(back >= 0, cosine[back], np.nan).astype(np.float32)
        for name in ("best", "best_cosine", "lead"):
            found[f"{side}.{name}"] = arrays[f"{side}.back_{name}"]
    return found


def shared_mask(arrays: Arrays) -> np.ndarray:
    return criteria(arrays)["and"]
