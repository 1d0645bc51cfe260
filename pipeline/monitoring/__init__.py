"""What is in service, watched: forecasts beside what came, inputs beside those of training."""
