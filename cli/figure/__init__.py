"""`twinsae figure`: each figure of the paper, one command a figure."""
