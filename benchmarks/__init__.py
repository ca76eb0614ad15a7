"""Scripts that measure. Each prints one JSON object last: {"benchmark", "commit", "machine", "n", "results"}."""
