"""What an experiment is: params.yaml, the data set's card, and one checked against the other.

May import files, runtime and errors.
"""
