"""Whether the committed code makes the committed results: a clean clone makes them again.

The band of scores over seeds and the worked examples are made in the same way. Not part of a
logged model. May import every package but stages and commands; only commands import it.
"""
