"""Eligibility schedules, usable alone: "may I post this bond here, and at what haircut?"

    schedule = load_schedule("schedules/acme-vm.yaml")
    found = match(schedule, assets, Context(as_of=date(2026, 7, 1), base_currency="USD"))
    found.eligible, found.factor, found.why(0).sentence

A schedule is read from YAML or CSV (`loading`) into frozen models (`vocabulary`); `criteria` gives the truth
of one leaf over a whole asset table (`facts`), `matching` decides with it, `limits` groups what limits count.
"""

from eligibility_rules.columns import KNOWN_COLUMNS, is_known
from eligibility_rules.criteria import Context
from eligibility_rules.currencies import currencies_of, minor_unit
from eligibility_rules.facts import Facts
from eligibility_rules.limits import CapMatch, LimitMatch, match_limits
from eligibility_rules.loading import load_schedule, parse_schedule
from eligibility_rules.matching import Match, Reason, Refusal, UnknownExclusion, match
from eligibility_rules.problems import ScheduleError, ScheduleProblem
from eligibility_rules.ratings import rating_step
from eligibility_rules.vocabulary import Cap, Limit, Rule, Schedule

__all__ = [
    "KNOWN_COLUMNS",
    "Cap",
    "CapMatch",
    "Context",
    "Facts",
    "Limit",
    "LimitMatch",
    "Match",
    "Reason",
    "Refusal",
    "Rule",
    "Schedule",
    "ScheduleError",
    "ScheduleProblem",
    "UnknownExclusion",
    "currencies_of",
    "is_known",
    "load_schedule",
    "match",
    "match_limits",
    "minor_unit",
    "parse_schedule",
    "rating_step",
]
