"""`Codes`: what they hold, and what they refuse."""

import numpy as np
import pytest
from twinsae.matching import Codes

# Four latents; token 0 activates latents 3 and 1, token 1 none, token 2 latent 1.
OFFSETS, LATENTS, VALUES = [0, 2, 2, 3], [3, 1, 1], [0.5, 2.0, -4.0]


def test_sums_and_the_index_by_latent():
    codes = Codes(OFFSETS, LATENTS, VALUES, 4)
    assert codes.tokens == 3
    assert codes.fired.tolist() == [0, 2, 0, 1]
    assert codes.total.tolist() == [0, -2, 0, 0.5]
    assert codes.squares.tolist() == [0, 20, 0, 0.25]
    offsets, tokens, values = codes.by_latent()
    assert (offsets.dtype, tokens.dtype, values.dtype) == (np.int64, np.int32, np.float32)
    assert offsets.tolist() == [0, 0, 2, 2, 3]
    assert tokens.tolist() == [0, 2, 0]
    assert values.tolist() == [2, -4, 0.5]


def test_from_topk_leaves_out_missing_places_and_zeros():
    values, indices = [[2.0, 0.5, 0], [0, 0, 0], [-4, 0, 7]], [[1, 3, 0], [2, -1, 3], [1, -1, -1]]
    codes = Codes.from_topk(values, indices, 4)
    assert codes.offsets.tolist() == OFFSETS
    assert codes.latents.tolist() == [1, 3, 1]
    assert codes.values.tolist() == [2, 0.5, -4]
    with pytest.raises(ValueError, match=r"\(3, 3\) and \(2, 3\)"):
        Codes.from_topk(values, indices[:2], 4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"latents": [3, 4, 1]}, "token 0: expected latents from 0 to 3, got 4"),
        ({"latents": [3, 1, -1]}, "token 2: expected latents from 0 to 3, got -1"),
        ({"latents": [3, 1, 2**32 + 1]}, "latents: expected entries from 0 to"),
        ({"latents": [1, 1, 1]}, "token 0: expected each latent once, got 1 twice"),
        ({"values": [1.0, 0.0, 1.0]}, "token 0: expected finite activations other than 0, got 0"),
        ({"values": [1.0, 1.0, np.nan]}, "token 2: expected finite activations other than 0"),
        ({"values": [1.0, -np.inf, 1.0]}, "token 0: expected finite activations other than 0"),
        ({"values": [1.0, 1.0]}, "values: expected shape"),
        ({"offsets": [0, 2, 1, 3]}, "offsets: expected numbers that do not fall"),
        ({"offsets": [0, 2, 2, 4]}, "offsets: expected numbers that do not fall"),
        ({"offsets": [1, 2, 2, 3]}, "offsets: expected numbers that do not fall"),
        ({"offsets": [0], "latents": [], "values": []}, "offsets: expected those of 1 to"),
        ({"offsets": [[0, 3]]}, "offsets: expected a 1-D array"),
        ({"num_latents": 0}, "num_latents: expected 1 or more, got 0"),
    ],
)
def test_wrong_codes_are_refused(change: dict, message: str):
    given = {"offsets": OFFSETS, "latents": LATENTS, "values": VALUES, "num_latents": 4}
    with pytest.raises(ValueError, match=message):
        Codes(**given | change)


def test_wrong_types_are_refused():
    with pytest.raises(TypeError, match="latents: expected integers, got float64"):
        Codes(OFFSETS, [3.0, 1.0, 1.0], VALUES, 4)
    with pytest.raises(TypeError, match="values: expected floats, got int64"):
        Codes(OFFSETS, LATENTS, [1, 2, 3], 4)
