"""The commands: `python -m pipeline NAME` runs NAME's `main`. May import all but the stages."""
