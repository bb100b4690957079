"""Stage 3: the feature registry, the matrix engine, the factor model."""
