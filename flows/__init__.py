"""The steps after a run: in a warm process, in a Prefect flow, over an archive."""
