"""Many cells: checks before any work, one estimate of what they take, a schedule, and executors that it fills.

Knows cells and stages; not how results are shown.
"""
