"""MLflow: the store, live runs, what is sent, the champion. May import reports and all below."""
