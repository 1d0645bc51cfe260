"""The metrics; scores by span, step, target and hour. May import models and all below."""
