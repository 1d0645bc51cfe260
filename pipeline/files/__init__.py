"""Where files lie, how they are read and written whole, and their checksums.

May import errors alone.
"""
