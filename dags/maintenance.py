"""Airflow's DAG `maintenance`."""

from waypoint.orchestration.dags import maintenance_dag

dag = maintenance_dag(__file__)
