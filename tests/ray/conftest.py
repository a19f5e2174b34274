"""These tests run where Ray is installed: `make test-ray`."""

import os
from importlib.util import find_spec

if find_spec("ray") is None:
    collect_ignore_glob = ["test_*.py"]

# Before Ray is imported. It asks for a token as soon as one is in the user's home, and makes one.
os.environ["RAY_AUTH_MODE"] = "disabled"
