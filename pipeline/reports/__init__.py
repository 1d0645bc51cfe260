"""What people look at: pictures, the report as Markdown and as a page, tables on the terminal.

Nothing here computes a score. May import evaluation and all below it.
"""
