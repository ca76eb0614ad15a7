"""What the phone's system does: events, keyboard, panels, gestures, the composed screen. Start at `reduce.py`."""
