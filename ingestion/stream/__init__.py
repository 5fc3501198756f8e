"""Kafka to tables: topics, what travels on them, and how it lands."""
