"""Checks and measurements of a trained model: identities, entropy bounds, mutual information,
anomalies, oracles with known answers, and sample metrics."""
