"""Airflow's DAG `publish`."""

from waypoint.orchestration.dags import publish_dag

dag = publish_dag(__file__)
