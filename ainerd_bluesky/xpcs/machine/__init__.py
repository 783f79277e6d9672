"""What this machine has: memory, and compiled kernels where numba is there."""
