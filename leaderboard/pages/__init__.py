"""`heist leaderboard build`: the board as a static site."""
