"""Prompts that attacks send and shipped models were trained on: written in one place, so that both are the same.

Knows what a prompt says and how its reply is read, but not which model receives it.
"""
