"""Devices: the seams `Device` and `World` (`base`), and the way from a name to a device (`make`)."""
