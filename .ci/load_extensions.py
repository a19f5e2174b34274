"""Loads the extensions of the installed wheel where torch is missing, and calls one of each."""

import sys
from importlib.machinery import ExtensionFileLoader
from importlib.metadata import files
from importlib.util import module_from_spec, spec_from_loader

import numpy as np

found = {}
for file in files("twinsae") or []:
    if file.name.startswith("_native.cpython"):
        name = ".".join([*file.parent.parts, "_native"])  # by one name, all would be one module
        loader = ExtensionFileLoader(name, str(file.locate()))
        spec = spec_from_loader(name, loader)
        assert spec is not None
        found[file.parent.name] = module = module_from_spec(spec)
        loader.exec_module(module)

partner = np.empty(2, dtype=np.int64)
edges = np.array([0, 0, 1]), np.array([0, 1, 0])
found["assignment"].maximum_matching(*edges, 2, 2, None, None, partner)
assert partner.tolist() == [1, 0]
out = np.empty((1, 2), dtype=np.float32)
row = np.array([[3.0, 4.0]], dtype=np.float32), "float32", np.ones(1), np.full(1, 5.0)
found["matching"].unit_rows(*row, np.zeros(1, dtype=np.int64), 1, out)
assert np.allclose(out, [[0.6, 0.8]])
isa = found["kernels"].isa()
print(f"Python {sys.version_info[0]}.{sys.version_info[1]}: the extensions work ({isa}); no torch")
