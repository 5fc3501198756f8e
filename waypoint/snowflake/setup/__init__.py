"""Setting up a Snowflake account: what stands there before the first row, as statements."""
