"""Everything that brings data to the landing area and from there into `raw`."""
