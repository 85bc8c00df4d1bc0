"""The figures of a board's pages, each with its table: frontier, budget, releases, overlap."""

from __future__ import annotations

from heistbench.leaderboard.chart import Chart
from heistbench.leaderboard.chart_budget import budget
from heistbench.leaderboard.chart_frontier import frontier
from heistbench.leaderboard.chart_overlap import overlap
from heistbench.leaderboard.chart_releases import releases

__all__ = ["Chart", "budget", "frontier", "overlap", "releases"]
