"""Where files are, read and written atomically, with checksums. May import errors only."""
