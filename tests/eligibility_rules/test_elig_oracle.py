"""The vectorised engine against an evaluator that walks one asset at a time and was written on its own."""

from __future__ import annotations

from datetime import date
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
from dateutil.relativedelta import relativedelta
from hypothesis import given, settings
from hypothesis import strategies as st

from eligibility_rules import Context, Facts, Refusal, ScheduleError, match, parse_schedule
from eligibility_rules.criteria import Evaluation

TODAY = date(2026, 7, 1)
LETTERS = ["AAA", "AA", "A", "BBB", "BB"]
STEP = {"AAA": 1, "AA": 3, "A": 6, "BBB": 9, "BB": 12}
MOODYS = {"Aaa": 1, "Aa2": 3, "A2": 6, "Baa2": 9, "Ba2": 12}
UNIT = {"Y": "years", "M": "months", "D": "days"}

Truth = bool | None
Asset = dict[str, Any]


def all_of(truths: list[Truth]) -> Truth:
    return False if False in truths else None if None in truths else True


def any_of(truths: list[Truth]) -> Truth:
    return True if True in truths else None if None in truths else False


def negated(truth: Truth) -> Truth:
    return None if truth is None else not truth


def holds(value: Any, bounds: dict[str, Any]) -> bool:
    tests = {
        "lt": lambda bound: value < bound,
        "le": lambda bound: value <= bound,
        "gt": lambda bound: value > bound,
        "ge": lambda bound: value >= bound,
    }
    return all(tests[word](bound) for word, bound in bounds.items())


def later(day: date, tenor: str) -> date:
    return day + relativedelta(**{UNIT[tenor[-1]]: int(tenor[:-1])})  # type: ignore[arg-type]


def evaluate(when: dict[str, Any], asset: Asset, context: Context) -> Truth:
    """Truth of one criterion, as it stands in the YAML, for one asset."""
    ((word, inner),) = when.items()
    if word == "all":
        return all_of([evaluate(one, asset, context) for one in inner])
    if word == "any":
        return any_of([evaluate(one, asset, context) for one in inner])
    if word == "not":
        return negated(evaluate(inner, asset, context))
    if word == "maturity":
        ((measured, bounds),) = inner.items()
        start = TODAY if measured == "remaining" else asset["issue_date"]
        end = TODAY if measured == "since_issue" else asset["maturity_date"]
        if start is None or end is None:
            return None
        return holds(end, {bound: later(start, tenor) for bound, tenor in bounds.items()})
    if word == "rating":
        return evaluate_rating(inner, asset)
    if word == "own_issue":
        return evaluate_own_issue(inner, asset, context)
    value = asset[word]
    if value is None:
        return None
    if isinstance(inner, dict):
        return holds(value, inner)
    return value in (inner if isinstance(inner, list) else [inner])


def evaluate_rating(rating: dict[str, Any], asset: Asset) -> Truth:
    best, worst = STEP[rating.get("at_most", "AAA")], STEP[rating.get("at_least", "BB")]
    if "at_most" not in rating:
        best = 1
    for scope in rating["scope"]:
        prefix = "" if scope == "asset" else "issuer_"
        found = []
        for agency, steps in (("sp", STEP), ("moodys", MOODYS)):
            letters = asset[f"{prefix}rating_{agency}"]
            if agency in rating["agencies"] and letters in steps:
                found.append(steps[letters])
        if not found:
            continue
        found.sort()
        if rating["resolve"] == "any":
            return any(best <= step <= worst for step in found)
        resolved = {
            "lowest": found[-1],
            "highest": found[0],
            "second_best": found[1] if len(found) > 1 else found[0],
            "average": Fraction(sum(found), len(found)),
        }[rating["resolve"]]
        return best <= resolved <= worst
    return None


def evaluate_own_issue(wanted: bool, asset: Asset, context: Context) -> Truth:
    if asset["asset_type"] == "cash":
        own: Truth = False
    elif context.owner_parent is None:
        own = None
    elif asset["issuer_parent"] == context.owner_parent:
        own = True
    else:
        own = None if asset["issuer"] is None else asset["issuer"] == context.owner_parent
    return own if wanted else negated(own)


# -------------------- what is drawn

days = st.dates(date(2020, 1, 1), date(2034, 12, 31))
assets_drawn = st.lists(
    st.fixed_dictionaries(
        {
            "asset_type": st.sampled_from(["debt", "cash", "equity"]),
            "currency": st.sampled_from(["USD", "EUR"]),
            "sector": st.sampled_from(["x", "y", None]),
            "issuer": st.sampled_from(["p", "q", None]),
            "issuer_parent": st.sampled_from(["p", "r", None]),
            "duration": st.sampled_from([None, 1.0, 5.0, 7.5]),
            "issue_date": st.none() | days,
            "maturity_date": st.none() | days,
            "rating_sp": st.sampled_from([*LETTERS, "NR", None]),
            "rating_moodys": st.sampled_from([*MOODYS, "WR", None]),
            "issuer_rating_sp": st.sampled_from([*LETTERS, None]),
            "issuer_rating_moodys": st.sampled_from([*MOODYS, None]),
        }
    ),
    max_size=8,
)
tenors = st.sampled_from(["6M", "1Y", "5Y", "90D"])
ratings = st.fixed_dictionaries(
    {
        "scope": st.sampled_from([["asset"], ["issuer"], ["asset", "issuer"], ["issuer", "asset"]]),
        "agencies": st.sampled_from([["sp"], ["moodys"], ["sp", "moodys"]]),
        "resolve": st.sampled_from(["lowest", "highest", "second_best", "average", "any"]),
    }
).flatmap(
    lambda base: st.sampled_from(
        [{**base, "at_least": "A"}, {**base, "at_most": "A"}, {**base, "at_least": "BBB", "at_most": "AA"}]
    )
)
leaves = st.one_of(
    st.sampled_from([{"sector": "x"}, {"sector": ["x", "y"]}, {"asset_type": "debt"}, {"currency": "EUR"}]),
    st.sampled_from([{"duration": {"le": 5}}, {"duration": {"gt": 1, "lt": 7.5}}, {"duration": [1, 5]}]),
    st.sampled_from([{"own_issue": True}, {"own_issue": False}]),
    st.builds(
        lambda measured, word, tenor: {"maturity": {measured: {word: tenor}}},
        st.sampled_from(["remaining", "original", "since_issue"]),
        st.sampled_from(["lt", "le", "gt", "ge"]),
        tenors,
    ),
    ratings.map(lambda rating: {"rating": rating}),
)
criteria = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"all": parts}),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"any": parts}),
        inner.map(lambda part: {"not": part}),
    ),
    max_leaves=6,
)
contexts = st.builds(
    Context,
    as_of=st.just(TODAY),
    base_currency=st.just("USD"),
    margin_type=st.sampled_from(["im", "vm", None]),
    owner_parent=st.sampled_from(["p", None]),
)
rules = st.lists(
    st.fixed_dictionaries(
        {"when": criteria},
        optional={"margin_type": st.sampled_from(["im", "vm"]), "exclude": st.just(True)},
    ).flatmap(
        lambda rule: (
            st.just(rule)
            if "exclude" in rule
            else st.sampled_from(["0", "0.02", "0.15", "0.95"]).map(lambda haircut: {**rule, "haircut": haircut})
        )
    ),
    min_size=1,
    max_size=5,
)

further_haircuts = st.lists(
    st.fixed_dictionaries(
        {
            "rate": st.sampled_from(["0", "0.01", "0.03", "0.5"]),
            "combine": st.sampled_from(["additive", "multiplicative"]),
        },
        optional={"select": criteria, "margin_type": st.sampled_from(["im", "vm"])},
    ),
    max_size=3,
)


def frame_of(assets: list[Asset]) -> pd.DataFrame:
    names = [
        "asset_type",
        "currency",
        "sector",
        "issuer",
        "issuer_parent",
        "duration",
        "issue_date",
        "maturity_date",
        "rating_sp",
        "rating_moodys",
        "issuer_rating_sp",
        "issuer_rating_moodys",
    ]
    frame = pd.DataFrame({name: pd.Series([asset[name] for asset in assets], dtype=object) for name in names})
    frame["duration"] = frame["duration"].astype("float64")
    for name in ("issue_date", "maturity_date"):
        frame[name] = pd.to_datetime(frame[name]).astype("datetime64[ns]")
    frame.insert(0, "asset_id", pd.Series([f"a{i}" for i in range(len(assets))], dtype=object))
    return frame


def truths(when: dict[str, Any], assets: list[Asset], context: Context) -> np.ndarray[Any, Any]:
    schedule = parse_schedule({"rules": [{"when": when, "haircut": 0}]}, "s")
    return Evaluation(Facts(frame_of(assets)), context).truth(schedule.rules[0].when)


# -------------------- properties


@settings(max_examples=200, deadline=None)
@given(criteria, assets_drawn, contexts)
def test_vectorised_truth_is_the_truth_asset_by_asset(
    when: dict[str, Any], assets: list[Asset], context: Context
) -> None:
    number = {True: 1, False: -1, None: 0}
    assert truths(when, assets, context).tolist() == [number[evaluate(when, a, context)] for a in assets]


@settings(max_examples=100, deadline=None)
@given(criteria, criteria, assets_drawn, contexts)
def test_de_morgan(one: dict[str, Any], two: dict[str, Any], assets: list[Asset], context: Context) -> None:
    left = truths({"not": {"all": [one, two]}}, assets, context)
    right = truths({"any": [{"not": one}, {"not": two}]}, assets, context)
    assert left.tolist() == right.tolist()
    assert truths({"not": {"not": one}}, assets, context).tolist() == truths(one, assets, context).tolist()


def applies(further: dict[str, Any], asset: Asset, context: Context) -> bool:
    """A further haircut comes off unless its selection or its margin type is known to be another."""
    wanted = further.get("margin_type")
    if wanted is not None and context.margin_type is not None and context.margin_type != wanted:
        return False
    return "select" not in further or evaluate(further["select"], asset, context) is not False


def decide(data: dict[str, Any], asset: Asset, context: Context) -> tuple[Refusal, Fraction, int]:
    """Refusal, factor and rule of one asset, from the words of the book alone."""

    def rule_truth(rule: dict[str, Any]) -> Truth:
        wanted = rule.get("margin_type")
        margin: Truth = True
        if wanted is not None:
            margin = None if context.margin_type is None else context.margin_type == wanted
        return all_of([evaluate(rule["when"], asset, context), margin])

    known = [(place, rule, rule_truth(rule)) for place, rule in enumerate(data["rules"])]
    for wanted, refusal in ((True, Refusal.EXCLUDED), (None, Refusal.EXCLUSION_UNKNOWN)):
        for place, rule, truth in known:
            if "exclude" in rule and truth is wanted:
                return refusal, Fraction(0), place
    takers = [(place, 1 - Fraction(rule["haircut"]), truth) for place, rule, truth in known if "exclude" not in rule]
    true = [taker for taker in takers if taker[2] is True]
    unknown = [taker for taker in takers if taker[2] is None]
    if not true:
        return (Refusal.RULE_UNKNOWN if unknown else Refusal.NO_RULE), Fraction(0), -2 if unknown else -1
    if data["overlap"] == "error" and len(true) > 1:
        raise ScheduleError([])
    if data["overlap"] == "first":
        place, factor, _ = true[0]
        unknown = [taker for taker in unknown if taker[0] < place]
    else:
        place, factor, _ = min(true, key=lambda taker: (taker[1], taker[0]))
    if any(taker[1] < factor for taker in unknown):
        return Refusal.RULE_UNKNOWN, Fraction(0), -2
    deductions = [one for one in data["further_haircuts"] if applies(one, asset, context)]
    if asset["currency"] != "USD":
        deductions.append(data["fx_haircut"])
    for one in deductions:
        rate = Fraction(one["rate"])
        factor = factor - rate if one["combine"] == "additive" else factor * (1 - rate)
    return (Refusal.NO_VALUE if factor <= 0 else Refusal.NONE), factor, place


@settings(max_examples=300, deadline=None)
@given(
    rules,
    st.sampled_from(["first", "highest_haircut", "error"]),
    st.sampled_from(["additive", "multiplicative"]),
    further_haircuts,
    assets_drawn,
    contexts,
)
def test_matching_decides_as_asset_by_asset(
    drawn: list[dict[str, Any]],
    overlap: str,
    combine: str,
    further: list[dict[str, Any]],
    assets: list[Asset],
    context: Context,
) -> None:
    fx = {"rate": "0.08", "combine": combine}
    data = {"rules": drawn, "overlap": overlap, "further_haircuts": further, "fx_haircut": fx}
    schedule = parse_schedule(data, "s")
    try:
        expected = [decide(data, asset, context) for asset in assets]
    except ScheduleError:
        try:
            match(schedule, frame_of(assets), context)
        except ScheduleError as failed:
            assert "overlap is error" in str(failed)
            return
        raise AssertionError("two rules take one asset, and no error was raised") from None
    found = match(schedule, frame_of(assets), context)
    assert [Refusal(code) for code in found.refused.tolist()] == [refusal for refusal, _, _ in expected]
    for i, (refusal, factor, place) in enumerate(expected):
        assert found.eligible[i] == (refusal is Refusal.NONE)
        if refusal is Refusal.NONE:
            assert found.factors[found.factor_code[i]] == factor
            assert found.factor[i] == float(factor)
        else:
            assert (found.factor[i], found.factor_code[i]) == (0.0, -1)
        if place != -2:  # which of several undecided rules is named is a matter of words
            assert found.rule[i] == place
        reason = found.why(i)
        assert reason.eligible == (refusal is Refusal.NONE)
        assert bool(reason.missing) == (refusal in (Refusal.RULE_UNKNOWN, Refusal.EXCLUSION_UNKNOWN))
        # A fact that is called missing is missing.
        for column in reason.missing:
            if column == "margin_type":
                assert context.margin_type is None
            elif column == "owner_parent":
                assert context.owner_parent is None
            else:
                assert assets[i][column] in (None, "NR", "WR")
