"""The project as Airflow DAGs, rendered from the dbt manifest, the contracts and sources.yml.

`dags/` holds what Airflow reads: a line or two a file. What is built stands here, one idea a
module: `graph` (the manifest's nodes as tasks), `operators` (what the tasks do), `freshness` (the
gate), `alerting` (who is told what), `dags` (the DAGs), `local` (an Airflow for this machine).

Airflow is imported within functions, or in modules that only Airflow's processes import, so that
the command line does not wait for it.
"""
