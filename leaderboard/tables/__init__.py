"""Every table of the board, once, as data: what a terminal and a page show alike. Drawing them is their business."""
