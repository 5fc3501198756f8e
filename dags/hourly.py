"""Airflow's DAG `hourly`."""

from waypoint.orchestration.dags import hourly_dag

dag = hourly_dag(__file__)
