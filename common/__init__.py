"""The ground floor: files, memory, progress, blocks, units. It imports nothing of ours."""
