"""Judges: the seam (`base`), judging by state, by a vision-language model, and the way from a name (`make`)."""
