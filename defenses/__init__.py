"""Defenses. One short file per defense; the folder is scanned for them."""
