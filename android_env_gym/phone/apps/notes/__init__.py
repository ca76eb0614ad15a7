"""Notes: a grid of coloured notes and checklists with labels, search, archive and trash."""
