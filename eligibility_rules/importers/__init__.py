"""Reads what others write eligibility in, and says of everything whether and how it was taken over.

    imported = read_cdm("agreement.json")
    imported.schedules, imported.terms, imported.findings

Readings are plain: what a document says and a schedule cannot is a finding with its place and its effect.
"""

from eligibility_rules.importers.problems import Imported, ImportFinding

__all__ = ["ImportFinding", "Imported"]
