"""Tasks: one short file a data set, found by scanning this folder."""
