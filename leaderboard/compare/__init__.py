"""`heist compare`: what changed between two releases, runs, revisions, attacks or defenses."""
