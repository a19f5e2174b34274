"""What is lost where latents of one SAE are replaced by their partners in another."""
