"""What is derived from the contracts, a module for each kind of file."""
