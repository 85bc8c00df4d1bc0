"""What runs or trains a model: checkpoints, one contract for all engines, fine-tuning, and the processes that they run in.

Knows prompts, replies and weights; not what a cell, an attack or a victim is.
"""
