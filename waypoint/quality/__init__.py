"""Great Expectations' second opinion on the tables: suites, batches, a run of all, Data Docs."""
