"""Privacy: personal data found in what the sources send, and people's data erased everywhere."""
