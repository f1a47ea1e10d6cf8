"""The model: three conditional distributions, and what they are made of."""
