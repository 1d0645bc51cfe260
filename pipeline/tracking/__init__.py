"""MLflow: the store, the run of a training, what is published with it, the champion.

Nothing else of the project imports MLflow but the model that it serves (`forecasting`). May import
reports and all below them.
"""
