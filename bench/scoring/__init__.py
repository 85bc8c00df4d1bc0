"""Scores of texts: answers against gold answers, traces against traces.

Knows texts only: no model, no store, no run. Text that a model wrote is hostile and read within bounds on time and memory.
"""
