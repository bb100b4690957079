"""The structured dual solver of the mean-variance problem: compiled, warm-started, certified in plain numpy."""
