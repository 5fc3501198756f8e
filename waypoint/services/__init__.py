"""Servers that come with the package and run below a project's state, so a laptop needs none."""
