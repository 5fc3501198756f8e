"""Where a play goes: dump files of topics, dropped files, databases, APIs."""
