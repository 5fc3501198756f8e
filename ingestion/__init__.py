"""Everything that brings data to the landing area and from there into the warehouse's `raw` schema."""
