"""The fit: batches, losses, update, epochs; TensorFlow is here. May import models and all below."""
