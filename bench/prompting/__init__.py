"""The prompts that attacks send and that shipped models have met in training: written in one place, so that both are the same.

Knows what a prompt says and how its reply is read; not which model gets it.
"""
