"""The networks by family, what wraps them, and the baselines they must beat.

`registry` builds a network from its `spec`. May import preparation, data and all below them.
"""
