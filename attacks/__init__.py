"""Attacks and controls. One short file per attack; the folder is scanned for them."""
