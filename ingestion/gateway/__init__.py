"""The gateway: events over HTTP, checked against their topic's contract, into Kafka.

Which endpoints there are, which events each takes and which topic it feeds stand in the contracts
of the topics (`endpoints`); what an event looks like is the topic's derived JSON Schema. An event
that is answered with 202 is on all replicas in sync; with any other answer it may be sent again.

One idea a module: `endpoints` (what the contracts say), `settings`, `keys` (who may send), `rates`
(how much), `bodies` (reading a request), `splitting` (a batch into events), `checking` (an event
against its contract), `sending` (Kafka), `answers` (what is said back), `describing` (OpenAPI),
`measuring` (Prometheus), `app` (all of it together), `serving` (the processes).
"""
