"""What a person reads: console output, figures and HTML pages."""
