"""`python -m twinsae.cli`: the `twinsae` command, for what starts modules, such as torchrun."""

import sys

from .main import main

sys.exit(main())
