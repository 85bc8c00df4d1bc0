"""What a text is worth: answers against gold, traces against traces.

Knows texts alone: no model, no store, no run. Whatever a model wrote is hostile here, and is read with bounds on time and memory.
"""
