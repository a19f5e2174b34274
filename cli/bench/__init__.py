"""`twinsae bench`: the kernels' speed and memory on this machine."""
