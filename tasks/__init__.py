"""Tasks. One short file per data set; the folder is scanned for them."""
