"""Reading and writing of SAE files."""
