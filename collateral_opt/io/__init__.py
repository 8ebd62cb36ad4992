"""Reads and writes a run's files: tables, workbooks, schedules, results. Knows book and result only."""
