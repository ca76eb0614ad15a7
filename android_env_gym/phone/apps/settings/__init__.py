"""The Settings app: pages of switches, sliders and choices over the system's and its own settings."""
