"""How fast this pipeline is beside what a user would take instead, and how its cost grows."""
