"""Lineage down to the column, from the SQL that dbt compiled; nothing is run."""
