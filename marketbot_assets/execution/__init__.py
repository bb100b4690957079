"""Stage 8: the approved batch, submissions, transaction costs."""
