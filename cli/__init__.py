"""The front door: the `twinsae` command."""

import os

# Before torch is imported: its OpenMP threads would otherwise spin while they wait for one another,
# which makes training several times slower where other programs want the same cores.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
