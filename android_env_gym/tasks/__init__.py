"""Task templates, suites, splits, and the pilot that oracles steer with. Start reading at `base.py`."""
