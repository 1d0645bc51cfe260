"""The networks, what wraps them, and the baselines. May import preparation and all below."""
