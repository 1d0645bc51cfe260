"""An honest LSTM forecasting pipeline: raw table in, reproducible scores out."""
