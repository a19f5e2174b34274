"""One pass over activations for several SAEs, which goes on where it was stopped."""
