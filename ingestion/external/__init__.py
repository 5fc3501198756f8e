"""Fetching from services of other parties, as `ingestion/external.yml` says.

A source is an entry there: what to ask and how often (`entries`), and what of the answer becomes a
message of a topic (`mapping`). Its way has four steps, each a function that can be called alone:
`fetching` asks, in parallel, `transforming` makes messages of the answers, `validating` holds
them against the topic's contract, `publishing` appends them to the topic. What is not published
is in quarantine with a reason (`rejecting`).
"""
