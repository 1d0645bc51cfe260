"""From a raw table to a regular series, its spans and its windows; and a first card for a table.

May import config and all below it.
"""
