"""`heist leaderboard verify` and `add`: results from outside, checked as if they meant harm."""
