"""Attacks and controls: one short file each, found by scanning this folder."""
