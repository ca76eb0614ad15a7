"""The simulated phone: an immutable state, apps as pure functions, a painter. Start reading at `phone.py`."""
