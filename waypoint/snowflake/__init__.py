"""What concerns Snowflake alone: proving what runs there before it runs there."""
