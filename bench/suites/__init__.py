"""The description of a run: YAML files, the schema that checks them, and the cells that they name.

Knows names, settings and plugins; loads no model and computes nothing.
"""
