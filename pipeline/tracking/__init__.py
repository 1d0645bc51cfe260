"""MLflow: the store, the run of a training, what is published with it, the champion.

Nothing else in the project imports MLflow except the served model (`forecasting`). May import
reports and all below them.
"""
