"""Stage 2: identity, calendars, currencies, corporate actions, quality."""
