"""The long short-term memory network, written out in NumPy.

Read in this order: `cell` (one layer, forward and backward), `stack` (layers on top of each other,
and the forecast), `gradient_check` (is the gradient right?), `optimizers` and `toy` (it trains on
its own), `weights` (it runs what Keras trained), `memory_profile` and `plots` (how far back a
network looks). `python -m pipeline lstm` shows it at work.
"""
