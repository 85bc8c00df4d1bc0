"""Everything kept on disk: artifacts, the ledger of paid replies, records, data files, shipped models, and the origin of code.

Knows how things are written and read back, whole or not at all; not how they are computed.
"""
