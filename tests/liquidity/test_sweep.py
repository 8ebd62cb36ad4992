"""A sweep's rows are what each scenario comes to by itself, and its bytes do not depend on how it was run."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from collateral_opt import optimise
from collateral_opt.cli import app
from collateral_opt.errors import SolverError, UsageError
from collateral_opt.liquidity.factors import draw
from collateral_opt.liquidity.moved import Moved, moved
from collateral_opt.liquidity.projection import project
from collateral_opt.liquidity.sweep import PART, change_of, sweep, wilson, worst
from collateral_opt.liquidity.sweep_page import broken_after
from collateral_opt.session import Session
from tests.desks import asset
from tests.liquidity.moving import book, file, plan, poor

RESPONSES = [
    {"initial_margin": "equity", "factor": "equities", "beyond": "1", "slope": "0.25"},
    {"facility": "LINE", "factor": "equities", "beyond": "2", "keep": "0.5"},
]


# What a scenario is.


def test_a_scenario_by_hand() -> None:
    here = plan(response=RESPONSES)
    # Two standard deviations down and a fifth of a point up: the index loses 5 million, its margin of 5 million grows
    # by 25 % of what is beyond 1, the swap gains 0.2 - 0.006 million; shares fall with the index; the line is whole.
    ((change, called),) = here.changes(np.array([[-0.08, 0.01]]))
    assert change.calls == pytest.approx({"CCP vm": 4e6 - 194_000, "CCP im": 1.25e6})
    assert called == change.calls
    assert change.prices == pytest.approx({"SHARE": 92.0})
    assert change.capacities == {"LINE": 2e6}
    ((change, _),) = here.changes(np.array([[-0.081, 0.0]]))
    assert change.capacities == {"LINE": 1e6}
    ((change, _),) = here.changes(np.array([[0.03, 0.0]]))
    assert change.calls == {"CCP vm": 0.0, "CCP im": 0.0}


@pytest.mark.parametrize("nets", ["margin_type", "all", "none"])
def test_calls_are_those_of_a_projection_of_the_same_moves(nets: str) -> None:
    rng = np.random.default_rng(5)
    agreements = [
        {"agreement_id": name, "counterparty": name, "schedule": "s", "base_currency": currency, "nets": nets}
        for name, currency in (("CCP", "USD"), ("BANK", "EUR"))
    ]
    positions = [
        {
            "position_id": f"P{k}",
            "agreement_id": [None, "CCP", "BANK"][k % 3],
            "instrument": f"I{k}",
            "asset_type": ["equity", "debt"][k % 2],
            "currency": ["USD", "EUR"][k % 2],
            "market_value": float(rng.normal(0, 20e6).__round__(2)),
            "initial_margin": float(rng.integers(1, 9)) * 1e5 if k % 3 else None,
            "beta": float(rng.choice([0.5, 1.0, 1.5])),
        }
        for k in range(14)
    ]
    sensitivities = [
        {
            "position_id": f"P{k}",
            "factor": "vol",
            "delta": float(rng.normal(0, 5e6)),
            "gamma": float(rng.normal(0, 5e7)),
        }
        for k in range(0, 14, 2)
    ]
    whole = book(
        fx=[{"currency": "EUR", "rate": 1.25}],
        agreements=agreements,
        positions=positions,
        sensitivities=sensitivities,
    )
    links = [
        {"of": "equity", "factor": "equities"},
        {"of": {"position_id": "P3"}, "factor": "equities", "beta": "1.0", "on": "positions"},
    ]
    extra = {"agreement": "CCP", "add": "150000"}
    read = file(links=links, stresses={"day": {"initial_margin": [extra]}}, response=RESPONSES[:1])
    here = moved(whole, read.stress(), read)
    moves = np.round(draw(here.generator, 0, 9), 6)
    compared = 0
    for at, (equities, vol) in enumerate(moves.tolist()):
        times = 1 + 0.25 * max(0.0, abs(equities) / 0.04 - 1)
        stress = {
            "shocks": [
                {"of": "equity", "value": f"{100 * equities:+.4f}%", "on": "both"},
                {"of": {"position_id": "P3"}, "value": f"{100 * equities:+.4f}%"},
                {"factor": "vol", "by": f"{vol:+.6f}"},
            ],
            "initial_margin": [{"of": "equity", "multiplier": f"{times:.10f}"}, extra],
        }
        alone = file(stresses={"alone": stress})
        calls = project(whole, alone.stress(), alone).calls
        expected = dict(zip(calls["call_id"], calls["amount"], strict=True))
        ((change, _),) = here.changes(moves[at][None, :])
        assert {name: amount for name, amount in change.calls.items() if amount > 0} == pytest.approx(expected, abs=1)
        compared += len(expected)
    assert compared >= 6


def test_a_stress_lies_under_every_scenario() -> None:
    read = file(
        calls="keep",
        stresses={
            "down": {
                "shocks": [{"of": "equity", "value": "-10%", "on": "both"}],
                "book": ["facility:LINE.capacity=-50%"],
                "due": {"CCP": "+4h"},
            }
        },
    )
    here = moved(book(), read.stress(), read)
    ((still, called),) = here.changes(np.zeros((1, 2)))
    # Nothing moves initial margin.
    assert still.calls == {"CCP vm": 5e6}
    assert still.prices == pytest.approx({"SHARE": 90.0})
    assert here.kept == {"OWN": 1e6}
    assert called["CCP vm"] == 5e6
    due = here.book.calls.set_index("call_id")["due"]
    assert due["CCP vm"] == pd.Timestamp("2026-03-24T12:00:00-04:00")
    scenario = Session(here.book).solve(still)
    # 6 million of cash at 1 bp of a year.
    assert scenario.cost == pytest.approx(600.0)
    assert here.book.facilities["capacity"].tolist() == [1e6]


@pytest.mark.parametrize(("calls", "others"), [("keep", {"OWN": 1e6, "MORE": 2e5}), ("replace", {})])
def test_calls_of_exposures_and_of_the_stress_itself_are_due_in_every_scenario(
    calls: str, others: dict[str, float]
) -> None:
    agreements = [
        {"agreement_id": name, "counterparty": name, "schedule": "s", "base_currency": currency}
        for name, currency in (("CCP", "USD"), ("OTC", "EUR"))
    ]
    exposure = {"agreement_id": "OTC", "currency": "EUR", "exposure": -1.5e6, "held_by_us": 0, "held_by_them": 0}
    read = file(
        calls=calls,
        exposures=pd.DataFrame([{**exposure, "threshold_us": 3e5}], dtype=object),
        stresses={
            "day": {
                "initial_margin": [{"agreement": "OTC", "add": "40000"}],
                "book": [{"new_call": {"call_id": "MORE", "agreement_id": "CCP", "amount": 200000}}],
            }
        },
    )
    here = moved(book(agreements=agreements, fx=[{"currency": "EUR", "rate": 1.25}]), read.stress(), read)
    assert here.kept == others
    assert here.calls.ids == ("CCP vm", "OTC im", "OTC")
    ((change, called),) = here.changes(np.zeros((1, 2)))
    # Exposure 1.5 million less the threshold of 0.3, and an add-on of 0.04 million, at 1.25.
    assert called == {"CCP vm": 0.0, "OTC im": 5e4, "OTC": 1.5e6}
    applied = change.applied_to(here.book).calls
    assert dict(zip(applied["call_id"], applied["amount"], strict=True)) == {
        **others, "OTC": 1.2e6, "OTC im": 4e4,
    }  # fmt: skip


def test_scenarios_answered_one_by_one_in_whole_lots_agree() -> None:
    here = plan(poor(), response=RESPONSES, generator={**file().sections["generator"], "seed": "21"})
    session = Session(here.book)
    numbers = [*range(25), *worst_of(here, 400, 10)]
    short = 0
    for number in numbers:
        change = change_of(here, number)
        scenario = session.solve(change)
        result = optimise(change.applied_to(here.book))
        missing = float(result.calls["shortfall"].sum())
        short += missing > 1
        # A lot is a share worth less than 100, or a cent.
        assert missing == pytest.approx(scenario.total_shortfall, abs=100)
        assert result.total_cost == pytest.approx(scenario.cost, abs=200 * 0.01)
    assert short >= 3


def worst_of(here: Moved, count: int, most: int) -> list[int]:
    """The scenarios that call most."""
    called = here.amounts(draw(here.generator, 0, count)).sum(axis=1)
    return np.argsort(-called)[:most].tolist()


# The folder.


@pytest.fixture(scope="module")
def here() -> Moved:
    return plan(poor(), response=RESPONSES)


@pytest.fixture(scope="module")
def clean(here: Moved, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sweep") / "clean"
    sweep(here, out, 2 * PART + 50)
    return out


def same(one: Path, other: Path) -> bool:
    names = ("scenarios.csv", "summary.json", "worst.csv", "sweep.html", "sweep.json")
    return all((one / name).read_bytes() == (other / name).read_bytes() for name in names)


def test_rows_and_summary_are_what_the_scenarios_come_to(here: Moved, clean: Path) -> None:
    table = pd.read_csv(clean / "scenarios.csv", keep_default_na=False)
    assert table["scenario"].tolist() == list(range(2 * PART + 50))
    moves = draw(here.generator, 0, len(table))
    assert np.array_equal(table[["x_equities", "x_vol"]].to_numpy(), moves)
    session = Session(here.book)
    for number in (0, 7, PART, 2 * PART + 49, *worst(table, 2)["scenario"]):
        change, row = change_of(here, number), table.iloc[number]
        scenario = session.solve(change)
        assert row["cost"] == pytest.approx(scenario.cost, abs=0.005)
        assert row["shortfall"] == pytest.approx(scenario.total_shortfall, abs=0.005)
        assert row["called"] == pytest.approx(sum(change.calls.values()), abs=0.01)
        assert row["vm"] == pytest.approx(change.calls["CCP vm"], abs=0.005)
        assert json.loads(row["exhausted"]) == list(scenario.exhausted)
        assert row["first_short_call"] == (min(scenario.shortfalls) if scenario.shortfalls else "")
    lines = (clean / "scenarios.csv").read_text().splitlines()
    told = (clean / "worst.csv").read_text().splitlines()
    assert told == [lines[0], *(lines[1 + number] for number in worst(table, 10)["scenario"])]
    summary = json.loads((clean / "summary.json").read_text())
    covered = int((table["shortfall"] == 0).sum())
    assert 0 < covered < len(table)
    assert (summary["scenarios"], summary["covered"], summary["failed"]) == (len(table), covered, 0)
    called = sorted(table["called"])
    assert summary["called"]["mean"] == pytest.approx(sum(called) / len(called), abs=0.01)
    # The largest 5 % of 550 are 28 (27.5 up), the largest 1 % are 6; the median lies between the middle two.
    assert summary["called"]["mean_of_worst_5_percent"] == pytest.approx(sum(called[-28:]) / 28, abs=0.01)
    assert summary["called"]["mean_of_worst_1_percent"] == pytest.approx(sum(called[-6:]) / 6, abs=0.01)
    assert summary["called"]["quantile_50"] == pytest.approx((called[274] + called[275]) / 2, abs=0.01)
    out = sum("LINE" in json.loads(cell) for cell in table["exhausted"])
    assert summary["ran_out"]["LINE"] == out > 0
    assert summary["worst"] == worst(table, 10)["scenario"].tolist()
    assert table["shortfall"].iloc[summary["worst"][0]] == table["shortfall"].max()


@pytest.mark.parametrize("executor", ["processes:2", "threads"])
def test_workers_do_not_show_in_the_bytes(here: Moved, clean: Path, executor: str, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    with ThreadPoolExecutor(2) as threads:
        where = threads if executor == "threads" else executor
        found = sweep(here, tmp_path / "o", 2 * PART + 50, executor=where, progress=lambda *at: told.append(at))
    assert same(tmp_path / "o", clean)
    assert (found.solved, told[0], told[-1], len(told)) == (550, (0, 550), (550, 550), 4)


def test_the_page_shows_what_is_called_and_how_long_all_is_met(here: Moved, clean: Path) -> None:
    table = pd.read_csv(clean / "scenarios.csv", keep_default_na=False)
    text = (clean / "sweep.html").read_text(encoding="utf-8")
    drawn = json.loads(text.split('id="page">')[1].split("</script>")[0])["figures"]
    assert sum(drawn["called"]["data"][0]["y"]) == len(table)
    # All calls are due in eight hours, and the horizon is a year.
    share = round(float((table["shortfall"] == 0).mean()), 6)
    survival = drawn["survival"]["data"][0]
    assert (survival["x"][:2], survival["y"]) == ([0.0, 8.0], [1.0, share, share])
    assert survival["x"][2] == 24 * here.book.settings.horizon_days
    open_ended = table.assign(first_short_due="")
    ends = {None, 24.0 * here.book.settings.horizon_days}
    assert set(broken_after(here.book, open_ended)) == ends
    assert broken_after(here.book, table).count(8.0) == int((table["shortfall"] > 0).sum())


def test_a_sweep_goes_on_where_it_stopped_and_redoes_what_is_damaged(here: Moved, clean: Path, tmp_path: Path) -> None:
    out = tmp_path / "o"

    def stop(done: int, total: int) -> None:
        if done >= PART:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep(here, out, 2 * PART + 50, progress=stop)
    assert [path.name for path in (out / "parts").iterdir()] == ["00000.csv"]
    found = sweep(here, out, 2 * PART, resume=True)
    assert found.solved == PART
    part = out / "parts" / "00000.csv"
    part.write_text(part.read_text()[:-20])
    found = sweep(here, out, 2 * PART + 50, resume=True)
    assert found.solved == PART + 50
    assert same(out, clean)


def test_another_sweep_or_what_is_not_ours_is_left_alone(here: Moved, clean: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--resume"):
        sweep(here, clean, 10)
    read = file(response=RESPONSES)
    other = moved(poor(), read.stress(), read, seed=8)
    with pytest.raises(UsageError, match="another sweep"):
        sweep(other, clean, 10, resume=True)
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="left alone"):
        sweep(here, tmp_path, 10, force=True)
    out = tmp_path / "o"
    sweep(here, out, 10)
    first = (out / "scenarios.csv").read_bytes()
    sweep(other, out, 10, force=True)
    assert (out / "scenarios.csv").read_bytes() != first
    with pytest.raises(UsageError, match="no executor"):
        sweep(here, tmp_path / "n", 10, executor="processes:0")


def test_parquet_holds_the_same_table_and_the_worst_are_confirmed(here: Moved, clean: Path, tmp_path: Path) -> None:
    found = sweep(here, tmp_path / "o", 2 * PART + 50, fmt="parquet", confirm=3, executor="processes:2")
    read = pd.read_parquet(tmp_path / "o" / "scenarios.parquet")
    pd.testing.assert_frame_equal(read, found.table)
    csv = pd.read_csv(clean / "scenarios.csv", keep_default_na=False)
    pd.testing.assert_frame_equal(read, csv, check_dtype=False)
    assert not (tmp_path / "o" / "scenarios.csv").exists()
    assert found.confirmed["scenario"].tolist() == found.summary["worst"][:3]
    apart = (found.confirmed["shortfall"] - found.confirmed["shortfall_in_lots"]).abs()
    assert apart.max() < 100
    assert (found.confirmed["shortfall_in_lots"] > 0).all()


def test_a_scenario_without_an_answer_does_not_take_the_others_with_it(
    here: Moved, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    solve = Session.solve

    def sometimes(self: Session, change: Any) -> Any:
        if change.name == "3":
            raise SolverError("gave up,\nsadly")
        return solve(self, change)

    monkeypatch.setattr(Session, "solve", sometimes)
    found = sweep(here, tmp_path / "o", 6)
    assert found.table["failed"].tolist() == ["", "", "", "gave up, sadly", "", ""]
    assert np.isnan(found.table["cost"].iloc[3])
    assert found.table["called"].iloc[3] > 0 or found.table["x_equities"].iloc[3] > 0
    assert found.summary["failed"] == 1
    assert 3 not in found.summary["worst"]


@pytest.mark.parametrize(
    ("hits", "count", "low", "high"),
    # Wilson (1927), as tabulated for 95 %: 9 of 10, none of 20, and the exact roots for 81 of 263.
    [(9, 10, 0.5958, 0.9821), (0, 20, 0.0, 0.1611), (81, 263, 0.2553, 0.3662), (0, 0, 0.0, 1.0)],
)
def test_the_interval_of_a_share(hits: int, count: int, low: float, high: float) -> None:
    assert wilson(hits, count) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"links": [{"of": "bond", "factor": "equities"}]}, "links, line 1"),
        ({"links": [{"of": "equity", "factor": "fx"}]}, "a link names the factor 'fx'"),
        ({"response": [{"facility": "REPO", "factor": "vol", "keep": "0"}]}, "the facility 'REPO'"),
        ({"response": [{"initial_margin": "debt", "factor": "vol", "slope": "1"}]}, "no position is of class 'debt'"),
        ({"receipts": "tally"}, "receipts is tally"),
    ],
)
def test_what_does_not_fit_is_said(more: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as told:
        plan(**more)
    assert said in str(told.value)


def test_a_link_of_both_need_not_be_true_of_both() -> None:
    assets = [asset("USD", "cash", price=None), asset("SHARE", "fund", price=100.0)]
    here = plan(book(assets=assets))
    ((change, _),) = here.changes(np.array([[-0.1, 0.0]]))
    assert change.prices == {}
    assert change.calls["CCP vm"] == pytest.approx(5e6)


# The commands.

EXAMPLE = Path(__file__).parents[2] / "examples" / "stress"
EXPOSED = "agreement_id,currency,exposure,held_by_us,held_by_them\nCCP,USD,-3000000,0,0\n"


@pytest.mark.parametrize("command", [["run", "--count", "3", "--out", "o"], ["reverse"], ["project"], ["answer"]])
def test_a_command_says_once_what_is_odd_and_nothing_of_files_that_it_reads(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "book"
    shutil.copytree(EXAMPLE, here)
    (here / "exposures.csv").write_text(EXPOSED)
    (here / "moves.csv").write_text("date,equities\n2026-03-20,-0.01\n2026-03-23,0.02\n")
    told = yaml.load((EXAMPLE / "stresses.yaml").read_text(), yaml.BaseLoader)
    told |= {"exposures": "exposures.csv", "directions": {"down": {"equities": -0.9}}, "response": []}
    told["generator"] = {"kind": "history", "file": "moves.csv"}
    told["links"] = [{"of": "equity", "factor": "equities"}]
    (here / "stresses.yaml").write_text(yaml.safe_dump(told))
    monkeypatch.chdir(tmp_path)
    name, *rest = command
    done = CliRunner().invoke(app, ["stress", name, "book", "--stresses", "book/stresses.yaml", *rest])
    assert done.exit_code in (0, 3), done.output
    assert (done.stderr.count("W921"), done.stderr.count("N232")) == (1, 0)
    # Exposure 3 million and 9 of variation margin, and 1.5 of initial margin, which has no row.
    if name == "project":
        assert "12,000,000" in done.stdout and "1,500,000" in done.stdout
    (here / "stray.csv").write_text("a,b\n")
    again = ["--out", "p"] if "--out" in rest else []
    done = CliRunner().invoke(app, ["stress", name, "book", "--stresses", "book/stresses.yaml", *rest, *again])
    assert done.stderr.count("N232") == 1 and "stray.csv" in done.stderr


def test_a_sweep_that_ended_while_it_began_is_begun_again(here: Moved, tmp_path: Path) -> None:
    out = tmp_path / "o"
    (out / "parts").mkdir(parents=True)
    (out / ".sweep.json.123.partial").write_text("{")
    assert sweep(here, out, 3, resume=True).solved == 3
    (tmp_path / "p" / "parts").mkdir(parents=True)
    (tmp_path / "p" / "parts" / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="left alone"):
        sweep(here, tmp_path / "p", 3, force=True)
