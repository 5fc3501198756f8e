"""Who may see what: rendered from the contracts and the policy of roles, one rule for all places.

The matrix says it; Snowflake's grants and masking follow it, and so do the published copies.
"""
