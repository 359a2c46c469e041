"""Latent Studio's engine: everything that computes. It never imports Qt."""
