"""View trees, widgets, layout, painting, hit test, accessibility. Start reading at `node.py`."""
