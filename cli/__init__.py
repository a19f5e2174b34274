"""The front door: the `twinsae` command."""
