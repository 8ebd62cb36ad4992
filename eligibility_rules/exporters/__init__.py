"""Writes schedules in the forms that others read, and says what those cannot hold."""
