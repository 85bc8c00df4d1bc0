"""From result files to a board people can read; imports no engine."""
