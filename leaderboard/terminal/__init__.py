"""`heist leaderboard show`: the board in a terminal."""
