"""A moved haircut is the schedule's own word: inside as if the rule had always said so, outside nothing moves."""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from collateral_opt import read_words
from collateral_opt.errors import UsageError
from collateral_opt.network.network import Bools
from collateral_opt.scenarios.figure import read_figure
from collateral_opt.scenarios.haircuts import moved
from eligibility_rules import Context, Facts, Match, Reason, Schedule, load_schedule, match, parse_schedule
from tests.judges.books import random_book

SCHEDULES = sorted((Path(__file__).parents[2] / "examples" / "desk" / "schedules").glob("*.yaml"))
AS_OF = pd.Timestamp("2026-03-24").date()
DESK = Context(AS_OF, "USD", None, "Own")


def assets(n: int = 400, seed: int = 1) -> pd.DataFrame:
    """Assets with every fact the desk's schedules speak of, a fifth of the cells empty."""
    random = np.random.default_rng(seed)
    columns: dict[str, list[Any]] = {
        "asset_type": ["cash", "debt", "debt", "debt", "equity", "fund"], "currency": ["USD", "EUR", "GBP"],
        "issuer_type": ["sovereign", "agency", "bank", "corporate"], "issuer_country": ["US", "DE", "IT", "GB"],
        "rating_sp": ["AAA", "A", "BBB-", "BB"], "issuer_rating_sp": ["AA", "BBB", "B"],
        "maturity_date": ["2026-09-01", "2028-01-01", "2035-01-01"], "secured_type": ["plain", "convertible"],
        "security_type": ["bond", "covered_bond", "share"], "index": ["S&P 500", "DAX"], "issuer": ["Own", "X", "Y"],
        "interest": ["fixed", "floating"], "principal": ["bullet", "amortising"], "hqla_level": ["1", "2A", "2B"],
        "seniority": ["senior", "subordinated"], "sector": ["banks", "energy"], "exchange": ["NYSE", "XETRA"],
    }  # fmt: skip
    frame = pd.DataFrame({name: random.choice(np.array(values, dtype=object), n) for name, values in columns.items()})
    frame = frame.mask(random.random(frame.shape) < 0.2, None).astype(object)
    frame["asset_type"] = frame["asset_type"].fillna("debt")
    frame["currency"] = frame["currency"].fillna("USD")
    frame["asset_id"] = [f"A{i}" for i in range(n)]
    return frame


def answers(found: Match, rows: Bools) -> list[tuple[object, ...]]:
    """What a schedule says of these assets: the exact factor, the refusal, and the rule by its label."""
    said: list[tuple[object, ...]] = []
    for i in np.flatnonzero(rows).tolist():
        factor = found.factors[found.factor_code[i]] if found.eligible[i] else Fraction(0)
        rule = found.schedule.rules[found.rule[i]].label if found.rule[i] >= 0 else ""
        said.append((i, bool(found.eligible[i]), factor, int(found.refused[i]), rule))
    return said


def reasons(found: Match, rows: Bools) -> list[Reason]:
    """The reasons for some of them: missing facts and the sentence included."""
    return [found.why(i) for i in np.flatnonzero(rows)[::23].tolist()]


CASES = list(product(SCHEDULES, ["first", "highest_haircut"], ["+0.02", "-0.03", "0.11", "+25%"]))


@pytest.mark.parametrize(("path", "overlap", "figure"), CASES, ids=[f"{p.stem} {o} {f}" for p, o, f in CASES])
def test_outside_nothing_moves_and_inside_all_does(path: Path, overlap: Any, figure: str) -> None:
    schedule, frame = load_schedule(path).model_copy(update={"overlap": overlap}), assets()
    inside = (frame["issuer_type"] == "corporate").to_numpy()  # where it is empty, outside
    by_hand = []  # every rule that takes something, moved for all assets
    for rule in schedule.rules:
        old = 1 - rule.factor
        new = {"+0.02": old + Fraction(2, 100), "-0.03": max(Fraction(0), old - Fraction(3, 100)),
               "0.11": Fraction(11, 100), "+25%": old * Fraction(5, 4)}[figure]  # fmt: skip
        form = {"haircut": new, "margin_ratio": None, "valuation_percentage": None}
        by_hand.append(rule if rule.exclude else rule.model_copy(update=form))
    everywhere = schedule.model_copy(update={"rules": tuple(by_hand)})
    said: list[str] = []
    after = moved(schedule, read_figure(figure), said.append, assets=Facts(frame), inside=inside, context=DESK)
    assert not said
    for margin_type, currency in product((None, "im", "vm"), ("USD", "EUR")):
        context = Context(AS_OF, currency, margin_type, "Own")
        old_match, new_match = match(schedule, frame, context), match(after, frame, context)
        assert answers(new_match, ~inside) == answers(old_match, ~inside)
        assert reasons(new_match, ~inside) == reasons(old_match, ~inside)
        assert answers(new_match, inside) == answers(match(everywhere, frame, context), inside)


def test_the_cases_decide_something() -> None:
    frame, context = assets(), Context(AS_OF, "USD", None, "Own")
    inside = (frame["issuer_type"] == "corporate").to_numpy()
    found = [match(load_schedule(path), frame, context) for path in SCHEDULES]
    assert sum(int(one.eligible[inside].sum()) for one in found) > 50
    assert sum(int(one.eligible[~inside].sum()) for one in found) > 200
    assert {int(r) for one in found for r in one.refused} >= {0, 1, 2, 3, 4}


BONDS = pd.DataFrame(
    {
        "asset_id": ["T", "C", "D"], "isin": ["US1", "US2", "US2"], "currency": "USD", "asset_type": "debt",
        "issuer_type": ["sovereign", "corporate", None],
    }, dtype=object,
)  # fmt: skip
CORPORATE = np.array([False, True, False])
CONTEXT = Context(AS_OF, "USD")


def factors(schedule: Schedule) -> list[float]:
    return match(schedule, BONDS, CONTEXT).factor.tolist()


def test_a_margin_ratio_becomes_the_haircut_that_it_is_and_then_moves() -> None:
    # 1 - 1/1.25 = 0.2; 0.2 + 0.05 = 0.25
    schedule = parse_schedule({"rules": [{"label": "all", "margin_ratio": 1.25}]}, "s")
    said: list[str] = []
    after = moved(schedule, read_figure("+0.05"), said.append, assets=Facts(BONDS), context=CONTEXT, inside=CORPORATE)
    assert (factors(schedule), factors(after), said) == ([0.8, 0.8, 0.8], [0.8, 0.75, 0.8], [])


def test_only_the_rules_of_the_label_move() -> None:
    rules = [{"label": "T", "when": {"issuer_type": "sovereign"}, "haircut": 0.01}, {"label": "rest", "haircut": 0.1}]
    schedule = parse_schedule({"rules": rules}, "s")
    every = np.ones(3, dtype=bool)
    after = moved(
        schedule, read_figure("+0.1"), lambda _: None, assets=Facts(BONDS), context=CONTEXT, inside=every, rule="rest"
    )
    assert factors(after) == [0.99, 0.8, 0.8] and len(after.rules) == 2


def test_overlap_error_sees_no_overlap_between_the_two_halves() -> None:
    schedule = parse_schedule({"overlap": "error", "rules": [{"label": "all", "haircut": 0.1}]}, "s")
    after = moved(schedule, read_figure("0.3"), lambda _: None, assets=Facts(BONDS), context=CONTEXT, inside=CORPORATE)
    assert factors(after) == [0.9, 0.7, 0.9]


@pytest.mark.parametrize("path", SCHEDULES, ids=[p.stem for p in SCHEDULES])
def test_a_moved_schedule_is_one_that_could_have_been_written(path: Path) -> None:
    frame = assets(40)
    inside = (frame["asset_type"] == "debt").to_numpy()
    after = moved(
        load_schedule(path), read_figure("+0.02"), lambda _: None, assets=Facts(frame), inside=inside, context=DESK
    )
    assert Schedule.model_validate(dict(after)) == after


def test_a_list_moves_line_by_line_and_an_isin_shared_with_others_gets_a_line_more() -> None:
    lines = (
        {"line": 2, "asset_id": "T", "isin": None, "eligible": True, "haircut": "0.01"},
        {"line": 3, "asset_id": None, "isin": "US2", "eligible": True, "haircut": "0.1", "max_value": "5"},
    )
    schedule = Schedule.model_validate({"name": "list", "listing": lines})
    after = moved(
        schedule, read_figure("+0.05"), lambda _: None, assets=Facts(BONDS), context=CONTEXT, inside=CORPORATE
    )
    assert (factors(schedule), factors(after)) == ([0.99, 0.9, 0.9], [0.99, 0.85, 0.9])
    assert [line.max_value for line in after.listing] == [None, 5, 5], "the cap by asset is the line's"
    whole = moved(
        schedule,
        read_figure("+0.05"),
        lambda _: None,
        assets=Facts(BONDS),
        context=CONTEXT,
        inside=np.array([True] * 3),
    )
    assert (factors(whole), len(whole.listing)) == ([0.94, 0.85, 0.85], 2)


def test_a_haircut_leaves_no_more_than_nothing_and_no_less() -> None:
    schedule = parse_schedule({"rules": [{"label": "all", "haircut": 0.1}]}, "s")
    for figure, factor, wrong in (("-0.5", 1.0, 0), ("+0.89", 0.01, 0), ("+0.9", None, 1), ("to -0.1", None, 1)):
        said: list[str] = []
        after = moved(
            schedule,
            read_figure(figure),
            said.append,
            assets=Facts(BONDS),
            context=CONTEXT,
            inside=np.array([True] * 3),
        )
        assert len(said) == wrong
        if factor is not None:
            assert factors(after) == pytest.approx([factor] * 3)


# -------------------- rules that no asset inside can meet

CASH, BOND, OTHER = {"asset_type": "cash"}, {"issuer_type": "corporate"}, {"sector": "energy"}
THREE = pd.DataFrame(
    {
        "asset_id": ["USD", "C", "E"], "currency": "USD", "asset_type": ["cash", "debt", "debt"],
        "issuer_type": ["none", "corporate", "sovereign"], "sector": ["none", "banks", "energy"],
    }, dtype=object,
)  # fmt: skip
IS_CASH = np.array([True, False, False])


def rules(*given: tuple[str, object, float], **more: object) -> Schedule:
    """Rules of a label, a criterion and a haircut; a label that starts with "no" excludes."""
    form = [
        {
            "label": label,
            **({"when": when} if when else {}),
            **({"exclude": True} if label[:2] == "no" else {"haircut": h}),
        }
        for label, when, h in given
    ]
    return parse_schedule({"rules": form, **more}, "s")


@pytest.mark.parametrize(
    ("schedule", "wrong"),
    [
        (rules(("cash", CASH, 0), ("bonds", BOND, 0.08)), []),
        (rules(("cash", CASH, 0), ("rest", None, 0.08)), []),  # the first that is true takes cash
        (rules(("rest", None, 0.08), ("cash", CASH, 0)), ["rule 1 'rest'"]),
        (rules(("cash", CASH, 0), ("rest", None, 0.08), overlap="highest_haircut"), ["rule 2 'rest'"]),
        (rules(("no cash", CASH, 0), ("rest", None, 0.08)), []),
        (rules(("cash", CASH, 0), ("rated", {"rating": {"at_least": "A"}}, 0.08)), []),
        (rules(("rated", {"rating": {"at_least": "A"}}, 0.08), ("cash", CASH, 0)), ["rule 1 'rated'"]),  # unknown
        (rules(("energy", OTHER, 0.2), ("cash", CASH, 0.05)), ["rule 2 'cash'"]),
    ],
)
def test_only_rules_that_may_take_an_asset_inside_are_complained_about(schedule: Schedule, wrong: list[str]) -> None:
    said: list[str] = []
    after = moved(schedule, read_figure("+0.96"), said.append, assets=Facts(THREE), inside=IS_CASH, context=CONTEXT)
    assert [text.split(": ")[0] for text in said] == [f"s, {place}" for place in wrong]
    if wrong:
        return
    old, new = match(schedule, THREE, CONTEXT), match(after, THREE, CONTEXT)
    assert answers(new, ~IS_CASH) == answers(old, ~IS_CASH)
    if old.eligible[0]:
        assert new.factors[new.factor_code[0]] == old.factors[old.factor_code[0]] - Fraction(96, 100)
    assert bool(new.eligible[0]) == bool(old.eligible[0])
    assert Schedule.model_validate(dict(after)) == after


def test_an_asset_that_comes_later_to_a_rule_beyond_1_gets_nothing_of_it() -> None:
    schedule = rules(("cash", CASH, 0), ("bonds", BOND, 0.08))
    for inside in (np.array([True, False, True]), np.array([True, False, False])):
        after = moved(schedule, read_figure("+0.96"), pytest.fail, assets=Facts(THREE), inside=inside, context=CONTEXT)
        later = THREE.assign(issuer_type="corporate")
        assert match(after, later, CONTEXT).factor.tolist() == pytest.approx([0.04, 0.92, 0 if inside[2] else 0.92])
    few, every = THREE.iloc[:1], np.array([True])  # nothing is outside
    after = moved(schedule, read_figure("+0.96"), pytest.fail, assets=Facts(few), inside=every, context=CONTEXT)
    bond = few.assign(issuer_type="corporate", asset_type="debt")
    assert match(after, few, CONTEXT).factor.tolist() == pytest.approx([0.04])
    assert match(after, bond, CONTEXT).factor.tolist() == [0.0]


def test_a_figure_that_is_no_haircut_is_wrong_whatever_it_meets() -> None:
    said: list[str] = []
    schedule = rules(("bonds", BOND, 0.08))
    moved(schedule, read_figure("1.2"), said.append, assets=Facts(THREE), inside=IS_CASH, context=CONTEXT)
    assert len(said) == 1


def test_assets_moved_before_play_no_part_for_others_of_the_same_facts() -> None:
    schedule, facts = rules(("bonds", BOND, 0.08), ("cash", CASH, 0)), Facts(THREE)
    for inside, counts in ((IS_CASH, [0.98, 0.92]), (~IS_CASH, [1.0, 0.9]), (IS_CASH, [0.98, 0.92])):
        after = moved(schedule, read_figure("+0.02"), print, assets=facts, inside=inside, context=CONTEXT)
        assert match(after, THREE, CONTEXT).factor[:2].tolist() == pytest.approx(counts)


@pytest.mark.parametrize("word", ["haircut:all=+0.01", "haircut:debt=0.05", "haircut:cash=+2%"])
def test_moved_haircuts_leave_nothing_to_find_that_was_not_found_before(word: str) -> None:
    """They are not checked again: a book that is says just the same."""
    moved_in = 0
    for seed in range(8):
        book = random_book(seed, "medium").to_book()
        try:
            changed = read_words([word])(book)
        except UsageError:
            continue  # a haircut that cannot be, or no such asset
        anew = book.replace(schedules=changed.schedules)
        moved_in += changed.schedules != book.schedules
        assert changed.digest == anew.digest
        assert changed.findings == anew.findings
    assert moved_in > 2
