"""Drafting contracts from what there is already: a short form, a live table, a dbt project."""
