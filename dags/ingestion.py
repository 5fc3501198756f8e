"""Airflow's DAGs that read the sources: one for each entry of ingestion/sources.yml."""

from waypoint.orchestration.dags import ingestion_dags

globals().update(ingestion_dags(__file__))
