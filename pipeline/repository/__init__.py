"""Git and DVC: which commit made what, what differs from it. May import config and all below."""
