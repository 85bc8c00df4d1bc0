"""Bridges to other harnesses: our tasks and engines for lm-eval, our tasks for Inspect, students examined through lm-eval.

The only room that knows those harnesses.
"""
