"""The data of the latent browser: what `twinsae report` writes and ``latents.html`` reads."""
