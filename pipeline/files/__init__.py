"""Where files are, how they are read and written atomically, and their checksums.

May import errors only.
"""
