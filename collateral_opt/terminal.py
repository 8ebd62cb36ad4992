"""What the command line says and how it waits: findings, the summary of a run, progress. No business logic.

Output is plain text wherever it is not a terminal; what comes from a book is stripped of control characters,
so that an identifier cannot steer the terminal.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

if TYPE_CHECKING:
    import pandas as pd

    from collateral_opt.eligible import Answer
    from collateral_opt.errors import Finding
    from collateral_opt.result import Result

T = TypeVar("T")
Progress = Callable[[str], None]

_PATIENCE = 2.0
"""Seconds of silence before a terminal is told what goes on."""
AT_WORK = "at work"
"""The name of threads in which something is done while this one waits."""

_MOST_SHORT = 20
_MOST_USED = 5


def say(text: str, *, error: bool = False) -> None:
    """Print, to standard error with ``error``; a reader who has gone away is no failure."""
    stream: TextIO = sys.stderr if error else sys.stdout
    try:
        stream.write(text + "\n")
        stream.flush()
    except BrokenPipeError:
        # whatever is still to be said goes nowhere, and neither does the flush at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def bold(text: str) -> str:
    """Bold on a terminal, plain anywhere else."""
    return f"\x1b[1m{text}\x1b[0m" if sys.stdout.isatty() and "NO_COLOR" not in os.environ else text


def printable(text: object) -> str:
    """The text without control characters.

    >>> printable("H1\\x1b[31m")
    'H1?[31m'
    """
    return "".join(c if c.isprintable() else "?" for c in str(text))


def findings_text(findings: Sequence[Finding]) -> str:
    """All findings, by table in the order of severity, each with its row, cause and action."""
    ordered = sorted(findings, key=lambda f: f.sort_key())
    severities = [f.severity for f in ordered]
    counts = [_count(severities.count(s), s) for s in ("error", "warning", "note") if s in severities]
    lines = [", ".join(counts)]
    by_table: dict[str, list[Finding]] = {}
    for finding in ordered:
        by_table.setdefault(finding.table, []).append(finding)
    for table, found in by_table.items():
        lines.append(f"\n{printable(table)}")
        for (severity, code), same in groupby(found, key=lambda f: (f.severity, f.code)):
            lines.extend(f"  {severity} {code} {_place(f)}{printable(f.cause)} {printable(f.action)}" for f in same)
    return "\n".join(lines)


def summary_text(result: Result, written: Iterable[Path]) -> str:
    """What a run came to: status, cost, gap, what is short and why, what is used most, what was written."""
    s, calls, allocation = result.summary, result.calls, result.allocation
    currency, lines = s["base_currency"], allocation[allocation["action"] == "deliver"]
    out = [bold(f"{s['status']}: {_covered(result)}")]
    out.append(f"  cost       {_money(s['total_cost'])} {currency}, proven to be at least {_money(s['lower_bound'])}")
    stopped = ", stopped before it was closed" if s["stopped"] else ""
    out.append(f"  gap        {100 * s['gap']:.4f} %{stopped}")
    out.append(f"  lines      {len(lines):,} out of {_count(lines['holding_id'].nunique(), 'holding')}")
    if len(lines):
        used = lines.groupby("asset_id")["market_value"].sum().sort_values(ascending=False, kind="stable")
        out.append(f"  most used  {_largest(used)} (market value, {currency})")
    out += _beside_calls(result)
    if (calls["shortfall"] > 0).any() or (result.agreements["shortfall"] > 0).any():
        out.append(f"\nshort by {_money(s['total_shortfall'])} {currency}")
        out += _short_calls(calls) + _short_agreements(result.agreements)
    short_reserves = result.reserves[result.reserves["shortfall"] > 0]
    for reserve in short_reserves.to_dict("records"):
        out.append(f"  reserve {printable(reserve['reserve_id'])}  {_money(reserve['shortfall'])} missing")
    paths = list(written)
    if paths:
        out.append(f"\nwritten to {printable(paths[0].parent)}: {', '.join(p.name for p in paths)}")
    return "\n".join(out)


def frontier_text(curve: pd.DataFrame, currency: str) -> str:
    """The curve of saving against moves, one row a budget."""
    out = [bold(f"{'moves':>8}  {'cost':>16}  {'saving':>16}  at least  ({currency})")]
    for row in curve.to_dict("records"):
        out.append(
            f"{row['max_moves']:>8,.0f}  {_money(row['total_cost']):>16}  {_money(row['saving']):>16}"
            f"  {_money(row['lower_bound'])}"
        )
    return "\n".join([*out, ""])


def _covered(result: Result) -> str:
    """How many calls are, and how many agreements beside their calls where the run looks at them."""
    calls, agreements = result.calls, result.agreements
    words = f"{int((calls['shortfall'] == 0).sum())} of {_count(len(calls), 'call')}"
    if len(agreements):
        sound = int((agreements["shortfall"] == 0).sum())
        words += f" and {sound} of {_count(len(agreements), 'agreement')}"
    return f"{words} covered"


def _beside_calls(result: Result) -> list[str]:
    """A line each for the facilities used, the reserves that are short and what moves, where there are any."""
    currency, out = result.summary["base_currency"], []
    if len(result.financing):
        raised = result.financing.groupby("facility_id")["proceeds"].sum()
        words = _largest(raised.sort_values(ascending=False, kind="stable"))
        words += f"; {len(raised) - _MOST_USED:,} more" if len(raised) > _MOST_USED else ""
        cost = _money(float(result.financing["cost"].sum()))
        out.append(f"  facilities {words} (raised, at a cost of {cost} {currency})")
    short = result.reserves[result.reserves["shortfall"] > 0]
    if len(short):
        missing = f"{_money(float(short['shortfall'].sum()))} {currency} missing"
        out.append(f"  reserves   {len(short)} of {_count(len(result.reserves), 'reserve')} short, {missing}")
    if len(result.agreements):
        counts = result.allocation["action"].value_counts()
        out.append(f"  moves      recalls {counts.get('recall', 0):,}, deliveries {counts.get('deliver', 0):,}")
    return out


def _largest(values: pd.Series[float]) -> str:
    """The first few, by name."""
    return "; ".join(f"{printable(name)} {_money(value, 0)}" for name, value in values.head(_MOST_USED).items())


def _short_calls(calls: pd.DataFrame) -> list[str]:
    short = calls[calls["shortfall"] > 0].sort_values(["shortfall", "call_id"], ascending=[False, True])
    out = []
    for call in short.head(_MOST_SHORT).to_dict("records"):
        missing = f"{_money(call['shortfall'])} of {_money(call['required'])}"
        out.append(f"  {printable(call['call_id'])}  {missing}  {printable(call['reason'] or '')}".rstrip())
    if len(short) > _MOST_SHORT:
        out.append(f"  and {len(short) - _MOST_SHORT:,} more, see calls.csv")
    return out


def _short_agreements(agreements: pd.DataFrame) -> list[str]:
    short = agreements[agreements["shortfall"] > 0]
    short = short.sort_values(["shortfall", "agreement_id"], ascending=[False, True])
    out = []
    for row in short.head(_MOST_SHORT).to_dict("records"):
        missing = f"{_money(row['shortfall'])} of {_money(row['required'])}"
        out.append(f"  agreement {printable(row['agreement_id'])}  {missing}")
    if len(short) > _MOST_SHORT:
        out.append(f"  and {len(short) - _MOST_SHORT:,} more, see agreements.csv")
    return out


def answer_text(answer: Answer) -> str:
    """May it go there? The answer on the first line, then what it rests on."""
    r = answer.reason
    read_in = f"{answer.currency}, {answer.margin_type}" if answer.margin_type else answer.currency
    verdict = "eligible" if answer.eligible else "not eligible"
    rows = [("schedule", f"{answer.schedule}, read in {read_in}")]
    if answer.eligible:
        rows += [("haircut", f"{100 * (1 - answer.factor):.6g} %"), ("factor", f"{answer.factor:.10g}")]
    if r.rule:
        rows.append(("rule", r.rule))
    if not r.eligible:
        rows.append(("refusal", r.refusal.name.lower().replace("_", " ")))
    if r.missing:
        rows.append(("missing", ", ".join(r.missing)))
    if answer.wrong_way:
        rows.append(("wrong way", f"issuer and counterparty both belong to {answer.wrong_way}"))
    rows.append(("reason", r.sentence))
    head = f"{printable(answer.asset_id)}: {verdict}"
    return "\n".join([bold(head), *(f"  {name:<10} {printable(text)}" for name, text in rows)])


def wait_for(task: Callable[[Progress], T], *, quiet: bool, stop: threading.Event | None = None) -> T:
    """Run ``task`` beside this thread and wait for it; after two seconds a terminal is shown what it is at.

    A solver holds its thread until it is done. Waiting here keeps Ctrl-C prompt: it is raised in this
    thread, while nothing has been written yet. With ``stop``, the first Ctrl-C asks the task to come to an end.
    """
    outcome: dict[str, Any] = {}
    stage = ["reading"]
    # Not the thread itself is waited for: one whose join is interrupted counts as ended (Python 3.11).
    ended = threading.Event()

    def work() -> None:
        try:
            outcome["value"] = task(lambda name: stage.__setitem__(0, name))
        except BaseException as error:
            outcome["error"] = error
        finally:
            ended.set()

    threading.Thread(target=work, name=AT_WORK, daemon=True).start()
    _wait(ended, _PATIENCE, stop)
    if not ended.is_set():
        with nullcontext() if quiet or not sys.stderr.isatty() else _status() as status:
            while not ended.is_set():
                if status is not None:
                    status.update(stage[0])
                _wait(ended, 0.2, stop)
    if "error" in outcome:
        raise outcome["error"]
    value: T = outcome["value"]
    return value


def is_at_work() -> bool:
    """Whether what :func:`wait_for` started is still going on."""
    return any(thread.name == AT_WORK for thread in threading.enumerate())


def _wait(ended: threading.Event, seconds: float, stop: threading.Event | None) -> None:
    """Wait so long; what a first Ctrl-C means is said to whoever pressed it, a second is raised."""
    try:
        ended.wait(seconds)
    except KeyboardInterrupt as pressed:
        if stop is None or stop.is_set() or type(pressed) is not KeyboardInterrupt:
            raise
        stop.set()
        say("stopping with the best answer so far; Ctrl-C again leaves at once", error=True)


def _status() -> Any:
    from rich.console import Console

    return Console(stderr=True).status("")


def _place(finding: Finding) -> str:
    parts = [] if finding.row is None else [f"row {finding.row}"]
    parts += [finding.column] if finding.column else []
    return f"{printable(', '.join(parts))}: " if parts else ""


def _count(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def _money(x: float, decimals: int = 2) -> str:
    return f"{x + 0.0:,.{decimals}f}"
