"""Whether the committed results are the code's: made again in a clean clone, and compared.

Also what is made that way: the band of scores over seeds and the worked examples. Not part of a
logged model. May import every package but stages and commands; only commands import it.
"""
