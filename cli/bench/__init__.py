"""`twinsae bench`: measures the speed and the memory of the kernels on this machine."""
