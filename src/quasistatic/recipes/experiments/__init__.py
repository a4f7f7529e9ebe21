"""What each recipe builds: its model, its data, its baselines and its figures."""
