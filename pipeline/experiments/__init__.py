"""An experiment's five steps, from the raw table to its scores, and all of them in one process.

May import evaluation, forecasting, training and all below them; who watches is handed in.
"""
