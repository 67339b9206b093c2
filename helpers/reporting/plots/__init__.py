"""Plots for the notebooks; each function returns a matplotlib figure."""
