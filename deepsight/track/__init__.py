"""Studies in the trackers of others: MLflow and Weights & Biases."""
