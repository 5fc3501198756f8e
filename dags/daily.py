"""Airflow's DAG `daily`."""

from waypoint.orchestration.dags import daily_dag

dag = daily_dag(__file__)
