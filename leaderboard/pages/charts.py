"""The figures of a board's pages, each with its table: frontier, budget, releases, overlap."""

from __future__ import annotations

from heistbench.leaderboard.pages.chart import Chart
from heistbench.leaderboard.pages.chart_budget import budget
from heistbench.leaderboard.pages.chart_frontier import frontier
from heistbench.leaderboard.pages.chart_overlap import overlap
from heistbench.leaderboard.pages.chart_releases import releases

__all__ = ["Chart", "budget", "frontier", "overlap", "releases"]
