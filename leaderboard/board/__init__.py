"""Records pooled, compared with controls, and laid out: the board as data."""
