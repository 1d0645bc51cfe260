"""Whether a clean clone makes the committed results. Not served. Only commands import it."""
