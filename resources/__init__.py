"""Shipped resources: recipes, models, samples, icons."""
