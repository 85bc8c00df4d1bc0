"""The pipeline, one file a step, in the order of the data: collect, train, examine, overlap and utility, record.

Knows one cell and the store; not how many cells there are, nor where they run.
"""
