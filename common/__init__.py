"""The ground floor: files, memory, progress, blocks, units. It imports nothing of ours."""

import sys

# Here, because all except the kernels import it.
if sys.platform == "win32":
    raise ImportError(
        "twinsae: Windows itself is not supported; install it in WSL 2, which runs Linux"
    )
