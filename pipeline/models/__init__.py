"""Networks by family, naive rules, and the registry that builds a network by its name."""
