"""A backtest: fits on ever later spans, each forecasting what came after it."""
