"""The launcher: home screen, dock and app drawer."""
