"""Defenses: one short file each, found by scanning this folder."""
