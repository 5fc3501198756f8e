"""Mutation of contracts: whether damage to a table would be noticed by what its contract says."""
