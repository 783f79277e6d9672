"""How many threads the linear algebra of a process of ours may use."""

__all__ = ["THREAD_SETTINGS"]

THREAD_SETTINGS = {"OPENBLAS_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
"""Environment variables, read when numpy and torch are imported.

Matrices of fits are small: threads that wait for work by spinning double their cost.
"""
