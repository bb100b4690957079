"""Stage 9: decision record, replay, attribution, reports, drift."""
