"""Latent Studio's window: services, controllers, pages and widgets."""
