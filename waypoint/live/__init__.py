"""The stream as it runs, from the simulated sources to the tables, with a count at its end.

`playing` makes messages of the scenario, `sending` sends them (over HTTP where a topic has an
endpoint, else to Kafka), `world` keeps the servers and the two processes in between running,
`watching` tells how they do, `counting` compares what was sent with what is in the tables, and
`running` puts it together.
"""
