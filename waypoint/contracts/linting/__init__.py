"""Lint: whether contracts are well-formed by the standard, and make sense."""
