"""Change capture: a database's changes into a topic, by Debezium on Kafka Connect."""
