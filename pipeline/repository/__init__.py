"""Git and DVC: which commit made what, what differs from it, what the lock says.

May import config and all below it.
"""
