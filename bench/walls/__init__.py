"""The wall around attacks: their code runs in a process of its own, which asks the harness over a line of JSON.

That process has no truth, no grader, no store and no keys; where the system allows it, it is confined (`confinement.py`).
Attacks that are not ours are not even imported elsewhere: such a process describes them (`foreign.py`).
"""
