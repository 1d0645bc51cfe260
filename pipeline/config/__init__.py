"""params.yaml, the card, and one checked against the other. May import files, runtime, errors."""
