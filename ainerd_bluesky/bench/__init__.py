"""Speed and memory against other correlators, on the same data in the same run.

Every figure comes from a process of its own that loads its data, warms up, and then
computes on one thread; CPU-seconds are compared, because a shared machine stretches
the time on the clock. Repeats of peer and own work alternate and the fastest counts.
"""
