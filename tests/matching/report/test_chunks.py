"""Chunks of the latent browser: what is written is read back, and their bytes are as described."""

import base64
import gzip
import json

import numpy as np
import pytest
from twinsae.matching.report.latents.chunks import read_chunk, write_chunk

ARRAYS = {
    "cosine": np.array([0.5, np.nan, -1.0], dtype=np.float32),
    "partner": np.array([[2, -1], [0, 7]], dtype=np.int32),
    "level": np.arange(5, dtype=np.uint8),
    "none": np.zeros((0, 24), dtype=np.uint32),
    "token": np.array([65535], dtype=np.uint16),
}
FACTS = {"name": "</script><b>", "saes": [1, 2.5, None]}


def test_a_chunk_is_read_back(tmp_path):
    size = write_chunk(tmp_path, "sae0/columns", ARRAYS, FACTS)
    found = read_chunk(tmp_path, "sae0/columns")
    assert found.facts == FACTS
    assert list(found.arrays) == list(ARRAYS)
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found.arrays[name], array)
        assert found.arrays[name].dtype == array.dtype
    assert (tmp_path / "sae0/columns.js").stat().st_size == size


def test_the_bytes_are_those_of_the_description(tmp_path):
    write_chunk(tmp_path, "c", {"a": np.array([1, 2, 3], dtype=np.uint16)}, {})
    script = (tmp_path / "c.js").read_text()
    assert script.startswith('twinsae("c","')
    assert script.endswith('")\n')
    content = gzip.decompress(base64.b64decode(script[13:-3]))
    length = int.from_bytes(content[:4], "little")
    assert (4 + length) % 8 == 0
    header = json.loads(content[4 : 4 + length])
    assert header == {"arrays": [{"name": "a", "dtype": "uint16", "shape": [3]}], "facts": {}}
    assert content[4 + length :] == bytes([1, 0, 2, 0, 3, 0, 0, 0])


def test_markup_does_not_reach_the_script(tmp_path):
    write_chunk(tmp_path, "manifest", {}, FACTS)
    assert "<" not in (tmp_path / "manifest.js").read_text()


def test_the_same_data_gives_the_same_bytes(tmp_path):
    for folder in ("a", "b"):
        write_chunk(tmp_path / folder, "c", ARRAYS, FACTS)
    assert (tmp_path / "a/c.js").read_bytes() == (tmp_path / "b/c.js").read_bytes()


def test_other_dtypes_are_refused(tmp_path):
    with pytest.raises(TypeError, match=r"wide: expected one of float32, .*, got float64"):
        write_chunk(tmp_path, "c", {"wide": np.zeros(2)}, {})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "damaged",
    ["", 'twinsae("other","")\n', 'twinsae("c","AAAA")\n', 'twinsae("c","A")\n', "alert(1)\n"],
)
def test_a_damaged_chunk_is_named(tmp_path, damaged):
    (tmp_path / "c.js").write_text(damaged)
    with pytest.raises(ValueError, match=r"c\.js is damaged"):
        read_chunk(tmp_path, "c")
