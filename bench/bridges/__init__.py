"""Our tasks and engines as other harnesses see them: lm-eval's tasks and model, Inspect's tasks.

Knows those harnesses; the only room that does.
"""
