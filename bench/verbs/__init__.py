"""What each verb of `heist` does. The only room that knows the leaderboard."""
