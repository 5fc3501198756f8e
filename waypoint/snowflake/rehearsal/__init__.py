"""Rehearsing what is to run on Snowflake: the same build there, or on a stand-in, and on DuckDB."""
