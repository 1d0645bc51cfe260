"""The process: what makes a result repeat to the byte, and how a command ends.

May import errors only.
"""
