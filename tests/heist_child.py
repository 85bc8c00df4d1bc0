"""Runs `heist` in a child process of a test: whoever starts it sets ARGV, and LOG for what it says."""

import os
import sys

from heistbench.bench.cli import main

log = os.open(globals()["LOG"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
for stream in (1, 2):
    os.dup2(log, stream)
sys.argv = ["heist", *globals()["ARGV"]]
main()
