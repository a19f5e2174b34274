"""`python -m twinsae.cli`: the `twinsae` command, for what starts modules, such as torchrun."""

import sys

from .main import main

if __name__ == "__main__":
    sys.exit(main())
