"""Output for people: console output, figures and HTML pages."""
