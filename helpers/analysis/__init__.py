"""What records say side by side: comparison, recommendation, regression."""
