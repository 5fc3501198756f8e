"""Waypoint: an analytics warehouse under data contracts, on Snowflake and on a laptop."""
