"""Real-time tables: what has landed but is not built yet, beside the published copy.

The rule of each table is its dbt model and nothing else: the model's own incremental SQL is run
over the published rows and the landed ones, in memory, and what it gives replaces what is
published.
"""
