"""Schedules as published, for any book to name."""
