"""Data contracts in the Open Data Contract Standard: reading them, and deriving from them."""
