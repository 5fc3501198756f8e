"""Airflow's DAGs that fetch from other parties: one for each entry of ingestion/external.yml."""

from waypoint.orchestration.external_dags import external_dags

globals().update(external_dags(__file__))
