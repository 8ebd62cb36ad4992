"""Makes a realistic book out of a seed: for examples, tests and measurements, of any size.

The desk it draws posts governments, agencies, covered and company bonds, shares, funds and cash in four
currencies to clearing houses and bilateral counterparties. All comes from one ``PCG64(seed)`` stream, so the
same sizes and seed give the same files to the byte.

Every call can be covered: calls are cut out of the *core* (cash and governments that are there on time, which
every schedule takes in part and no limit binds), each agreement getting a share of what its schedule takes of
it, at the worst haircut. The rest comes on top, so the optimiser has cheaper things to choose from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from collateral_opt.errors import UsageError
from collateral_opt.generated_assets import AS_OF, BANKS, FX, OWNER, draw_assets, minimum_assets
from collateral_opt.io.write import csv_text, staged_folder

_HORIZON_DAYS = 30
_CORE_SHARE = 0.62
"""Of the core (at its worst haircut) this much is asked for: some 40 % of the whole inventory."""

_CASH_SHARE = 0.5
"""Of the cash only this much is asked for by those who take nothing else."""


@dataclass(frozen=True)
class _Archetype:
    """A kind of agreement: what it trades under, who stands behind it, when and how it calls."""

    code: str
    schedule: str
    currency: str
    margin_type: str
    priority: int
    due: tuple[str, ...]
    cash_return_bps: float
    min_line_value: float = 0.0


_NEW_YORK = ("2026-03-24T11:00:00-04:00", "2026-03-24T13:00:00-04:00", "2026-03-24T15:30:00-04:00")
_FRANKFURT = ("2026-03-24T13:00:00+01:00", "2026-03-24T15:00:00+01:00", "2026-03-24T17:00:00+01:00")
_LONDON = ("2026-03-24T12:30:00+00:00", "2026-03-24T15:00:00+00:00", "2026-03-24T16:30:00+00:00")
_TOKYO = ("2026-03-25T11:00:00+09:00", "2026-03-25T15:00:00+09:00")

_ARCHETYPES = (
    _Archetype("CCP-US", "ccp-treasuries", "USD", "im", 1, _NEW_YORK, -12.0),
    _Archetype("CCP-EU", "ccp-europe", "EUR", "im", 1, _FRANKFURT, -18.0),
    _Archetype("VM-US", "us-vm", "USD", "vm", 3, _NEW_YORK, 0.0),
    _Archetype("IM-US", "us-im", "USD", "im", 2, _NEW_YORK, -5.0, min_line_value=100_000.0),
    _Archetype("IM-EU", "eu-im", "EUR", "im", 2, _FRANKFURT, -6.0),
    _Archetype("WIDE-US", "wide-bilateral", "USD", "vm", 3, _NEW_YORK, -2.0),
    _Archetype("CASH-EU", "cash-only", "EUR", "vm", 3, _FRANKFURT, 0.0),
    _Archetype("IM-UK", "eu-im", "GBP", "im", 2, _LONDON, -6.0),
    _Archetype("G7-JP", "g7-sovereigns", "JPY", "im", 2, _TOKYO, -10.0),
    _Archetype("WIDE-EU", "wide-bilateral", "EUR", "vm", 3, _FRANKFURT, -3.0, min_line_value=50_000.0),
    _Archetype("IM-US", "us-im", "USD", "im", 2, _NEW_YORK, -4.0),
    _Archetype("CASH-US", "cash-only", "USD", "vm", 3, _NEW_YORK, 1.0),
)

# What is certain to be left of a unit of core under each schedule, whatever the maturity, rating or currency.
_CORE_FACTORS: Mapping[str, Mapping[str, float]] = {
    "ccp-treasuries": {"US": 0.92},
    "ccp-europe": {"DE": 0.93, "FR": 0.93, "GB": 0.93},
    "us-vm": {"US": 0.96},
    "us-im": {"US": 0.96, "DE": 0.88, "FR": 0.88, "GB": 0.88, "JP": 0.88},
    "eu-im": {"US": 0.88, "DE": 0.88, "FR": 0.86, "GB": 0.88, "JP": 0.86},
    "wide-bilateral": {"US": 0.94, "DE": 0.94, "FR": 0.94, "GB": 0.94, "JP": 0.94},
    "cash-only": {"USD": 1.0, "EUR": 1.0, "GBP": 1.0, "JPY": 1.0},
    "g7-sovereigns": {"US": 0.89, "DE": 0.89, "FR": 0.89, "GB": 0.89, "JP": 0.95},
}
_MARK = "# collateral-opt generate"


@dataclass(frozen=True)
class GeneratedBook:
    """A book as it would stand in a folder: tables by name, settings, and schedules as files by name.

    ``tables`` hold text, floats and integers (``None`` and NaN: unknown), times as ISO 8601 text; ``origin`` has
    the options that make it again.
    """

    origin: str
    tables: Mapping[str, pd.DataFrame]
    settings: Mapping[str, Any]
    schedules: Mapping[str, str]

    def write(self, folder: Path, *, force: bool = False) -> list[Path]:
        """Write the book to ``folder``, whole or not at all; returns the paths written.

        :raises UsageError: the folder holds something and ``force`` is not set, or holds no generated book.
        """
        settings = folder / "settings.yaml"
        if force and settings.is_file() and not settings.read_bytes().startswith(_MARK.encode()):
            raise UsageError(f"{folder} holds a book that was not generated, so it is left alone.")
        texts = {"settings.yaml": f"{_MARK} {self.origin}\n{_settings_text(self.settings)}"}
        texts |= {f"{name}.csv": csv_text(table) for name, table in self.tables.items()}
        texts |= {f"schedules/{name}": text for name, text in self.schedules.items()}
        with staged_folder(folder, force=force, marker="settings.yaml", ours={*texts, *_schedule_files()}) as staging:
            for name, text in texts.items():
                target = staging / name
                target.parent.mkdir(exist_ok=True)
                target.write_text(text, encoding="utf-8", newline="\n")
        return [folder / name for name in texts]


def generate_book(holdings: int, calls: int, agreements: int, seed: int) -> GeneratedBook:
    """Draw a book with that many holdings, calls and agreements; every call in it can be covered.

    :raises UsageError: fewer than 15 holdings, 1 call or 1 agreement, or a negative seed.
    """
    least = {"holdings": (holdings, minimum_assets()), "calls": (calls, 1), "agreements": (agreements, 1)}
    for what, (given, minimum) in least.items():
        if given < minimum:
            raise UsageError(f"{what} is {given}: a generated book needs at least {minimum}.")
    if seed < 0:
        raise UsageError(f"seed is {seed}: it must be 0 or more.")
    rng = np.random.Generator(np.random.PCG64(seed))
    assets = draw_assets(max(minimum_assets(), holdings - holdings // 12), rng)
    held = _draw_holdings(assets, holdings, rng)
    parties = _draw_agreements(agreements)
    core = _core_values(assets, held)
    needs = _requirements(parties, min(calls, agreements), core, rng)
    asked = _draw_calls(parties, needs, calls, rng)
    tables = {
        "fx": pd.DataFrame({"currency": [c for c in FX if c != "USD"], "rate": [FX[c] for c in FX if c != "USD"]}),
        "assets": assets.drop(columns=["_kind", "_years"]),
        "holdings": held,
        "agreements": parties.drop(columns=["margin_type", "priority", "due"]),
        "calls": asked,
        "cash_returns": _draw_cash_returns(parties, rng),
        "posted": _draw_posted(parties, needs, assets, rng),
        "costs": _draw_costs(parties, held, rng),
    }
    settings = {
        "as_of": AS_OF,
        "base_currency": "USD",
        "horizon_days": _HORIZON_DAYS,
        "day_count": 360,
        "owner_parent": OWNER,
    }
    in_force = sorted(set(parties["schedule"]))
    origin = f"--holdings {holdings} --calls {calls} --agreements {agreements} --seed {seed}"
    return GeneratedBook(origin, tables, settings, {_file_name(s): _schedule_text(s, assets) for s in in_force})


def write_book(
    folder: Path, *, holdings: int, calls: int, agreements: int, seed: int, force: bool = False
) -> list[Path]:
    """Generate a book and write it to ``folder``; returns the paths written. Raises as its two halves do."""
    return generate_book(holdings, calls, agreements, seed).write(folder, force=force)


def _draw_holdings(assets: pd.DataFrame, count: int, rng: np.random.Generator) -> pd.DataFrame:
    """One holding an asset, and a twelfth more: the same asset held again, at another cost."""
    n = len(assets)
    extra = rng.choice(np.arange(4, n), size=count - n, replace=count - n > n - 4)
    position = np.concatenate([np.arange(n), extra])
    kind = assets["_kind"].to_numpy()[position]
    governs = np.isin(kind, ["sovereign", "cash"])
    scale = pd.Series(kind).map(_SIZE).to_numpy(float)
    # most lines are middling, a few large
    value = scale * rng.lognormal(0.0, 0.7, len(position)) * np.where(governs, 22e6, 9e6)
    non_cash = value[kind != "cash"].sum()
    value[kind == "cash"] = non_cash * 0.09 * np.array([0.5, 0.3, 0.12, 0.08])
    unit = (assets["price"] * assets["price_factor"] * assets["currency"].map(FX)).to_numpy(float)[position]
    step = np.where(kind == "cash", 100_000.0, assets["lot_size"].to_numpy(float)[position])
    lots = np.maximum(np.round(value / (unit * step)), 20)
    late = rng.random(len(position)) < np.where(kind == "cash", 0.0, np.where(governs, 0.08, 0.2))
    hours = np.where(
        kind == "cash",
        0.0,
        np.where(governs, rng.integers(1, 3, len(position)), rng.integers(2, 4, len(position))),
    )
    hours = np.where(late & (rng.random(len(position)) < 0.4), rng.choice([6.0, 24.0, 48.0], len(position)), hours)
    arrival = rng.integers(10, 18, len(position))
    ready = [
        f"2026-03-24T{h:02d}:00:00+00:00" if yes and rest < 6 else None
        for h, yes, rest in zip(arrival, late, hours, strict=True)
    ]
    noise = rng.gamma(2.0, 0.5, len(position))
    width = max(4, len(str(len(position))))
    return pd.DataFrame(
        {
            "holding_id": [f"H{i + 1:0{width}d}" for i in range(len(position))],
            "asset_id": assets["asset_id"].to_numpy(object)[position],
            "quantity": lots * step,
            "cost_bps": np.round(pd.Series(kind).map(_COST_BPS).to_numpy(float) * (0.6 + 0.4 * noise), 1),
            "location": np.where(
                np.isin(assets["currency"].to_numpy(object)[position], ["USD"]),
                "DTC/Fed",
                np.where(assets["currency"].to_numpy(object)[position] == "JPY", "JASDEC", "Euroclear"),
            ),
            "ready_at": np.array(ready, dtype=object),
            "settle_hours": hours,
            "owner": rng.choice(["rates", "credit", "equities", "treasury"], len(position)).astype(object),
        }
    )


_SIZE = {
    "cash": 1.0,
    "sovereign": 1.0,
    "agency": 1.2,
    "covered": 0.9,
    "bond": 0.8,
    "equity": 0.9,
    "fund": 0.7,
}
# What letting go costs the firm a year: cash dearest, then liquid assets, last what nobody repos.
_COST_BPS = {"cash": 24, "sovereign": 9, "agency": 6, "covered": 4.5, "bond": 2.5, "equity": 3.5, "fund": 3}


def _draw_agreements(count: int) -> pd.DataFrame:
    """The archetypes in turn; a counterparty that is no clearing house belongs to a bank we may hold."""
    rows = []
    for i in range(count):
        kind, turn = _ARCHETYPES[i % len(_ARCHETYPES)], i // len(_ARCHETYPES)
        bank, _ = BANKS[(i * 5 + turn) % (len(BANKS) - 1)]
        clearing = kind.code.startswith("CCP")
        house = "Atlantic Clearing" if kind.code == "CCP-US" else "Rhine Clearing"
        rows.append(
            {
                "agreement_id": f"{kind.code}-{i + 1:02d}",
                "counterparty": f"{house} {turn + 1}" if clearing else f"{bank} Markets",
                "counterparty_parent": None if clearing else bank,
                "schedule": kind.schedule,
                "base_currency": kind.currency,
                "cash_return_bps": kind.cash_return_bps,
                "min_line_value": round(kind.min_line_value * FX["USD"] / FX[kind.currency], -3),
                "margin_type": kind.margin_type,
                "priority": kind.priority,
                "due": kind.due,
            }
        )
    return pd.DataFrame(rows)


def _core_values(assets: pd.DataFrame, held: pd.DataFrame) -> dict[str, float]:
    """What is there on time of the core, in base currency, by country (governments) or currency (cash)."""
    facts = assets.set_index("asset_id").loc[held["asset_id"]]
    value = held["quantity"].to_numpy(float) * (
        facts["price"] * facts["price_factor"] * facts["currency"].map(FX)
    ).to_numpy(float)
    on_time = held["ready_at"].isna().to_numpy() & (held["settle_hours"].to_numpy(float) <= 3)
    # long Treasuries stay out of the sum: one schedule takes only so many of them
    long_dated = (facts["_years"].to_numpy(float) > 10) & (facts["issuer_country"] == "US").to_numpy()
    label = np.where(facts["_kind"] == "cash", facts["currency"], facts["issuer_country"])
    core = on_time & np.isin(facts["_kind"].to_numpy(object), ["cash", "sovereign"]) & ~long_dated
    return {str(k): float(v) for k, v in pd.Series(value[core]).groupby(label[core]).sum().items()}


def _requirements(
    parties: pd.DataFrame, called: int, core: Mapping[str, float], rng: np.random.Generator
) -> NDArray[np.float64]:
    """What each agreement asks for in all (base currency): its share of every part of the core it takes."""
    weights = rng.lognormal(0.0, 0.4, len(parties))
    weights[called:] = 0.0
    accepted = [_CORE_FACTORS[s] for s in parties["schedule"]]
    needs = np.zeros(len(parties))
    for part, value in core.items():
        factors = np.array([a.get(part, 0.0) for a in accepted])
        takers = weights * (factors > 0)
        if takers.sum() > 0:
            share = _CASH_SHARE if part in FX else _CORE_SHARE
            needs += share * value * factors * takers / takers.sum()
    return needs


def _draw_calls(
    parties: pd.DataFrame, needs: NDArray[np.float64], count: int, rng: np.random.Generator
) -> pd.DataFrame:
    """Cut what the agreements ask for into calls: each agreement that is called at all gets at least one."""
    called = np.flatnonzero(needs > 0)
    if not len(called):
        raise UsageError("these sizes leave nothing to call: ask for more holdings.")
    owner = np.concatenate([called, rng.choice(called, count - len(called), p=needs[called] / needs[called].sum())])
    owner.sort()
    weight = rng.lognormal(0.0, 0.6, count)
    total = np.bincount(owner, weight, len(parties))
    amount = needs[owner] * weight / total[owner]
    currency = parties["base_currency"].to_numpy(object)[owner]
    rate = pd.Series(currency).map(FX).to_numpy(float)
    step = np.where(currency == "JPY", 100_000.0, 1_000.0)
    width = max(3, len(str(count)))
    pick = rng.random(count)
    return pd.DataFrame(
        {
            "call_id": [f"C{i + 1:0{width}d}" for i in range(count)],
            "agreement_id": parties["agreement_id"].to_numpy(object)[owner],
            "amount": np.maximum(np.floor(amount / rate / step), 1.0) * step,
            "currency": currency,
            "due": [parties["due"][a][int(p * len(parties["due"][a]))] for a, p in zip(owner, pick, strict=True)],
            "margin_type": parties["margin_type"].to_numpy(object)[owner],
            "priority": parties["priority"].to_numpy()[owner],
        }
    )


def _draw_cash_returns(parties: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """For every second agreement, cash returns of its own in two currencies."""
    some = parties.iloc[1::2]
    pairs = [
        (a, c)
        for a, base in zip(some["agreement_id"], some["base_currency"], strict=True)
        for c in ("USD", "JPY" if base == "JPY" else "EUR")
    ]
    bps = np.round(rng.normal(-5.0, 4.0, len(pairs)), 1) + 0.0
    return pd.DataFrame({"agreement_id": [a for a, _ in pairs], "currency": [c for _, c in pairs], "bps": bps})


def _draw_posted(
    parties: pd.DataFrame, needs: NDArray[np.float64], assets: pd.DataFrame, rng: np.random.Generator
) -> pd.DataFrame:
    """At every third agreement, a government bond posted earlier, about a twentieth of what it asks for."""
    countries = assets["issuer_country"].where(assets["_kind"] == "sovereign").to_numpy(object)
    rows = []
    for i in range(0, len(parties), 3):
        taken = [c for c in _CORE_FACTORS[parties["schedule"][i]] if c not in FX]
        choice = np.flatnonzero(np.isin(countries, taken) & (assets["_years"].to_numpy(float) <= 10))
        if len(choice) and needs[i] > 0:
            a = assets.iloc[int(choice[int(rng.integers(len(choice)))])]
            unit = float(a["price"]) * float(a["price_factor"]) * FX[str(a["currency"])] * float(a["lot_size"])
            lots = max(1.0, float(np.round(needs[i] * 0.05 / unit)))
            rows.append((parties["agreement_id"][i], a["asset_id"], lots * float(a["lot_size"]), bool(i % 2)))
    return pd.DataFrame(rows, columns=["agreement_id", "asset_id", "quantity", "locked"])


def _draw_costs(parties: pd.DataFrame, held: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """For one holding in twenty, another cost at one agreement: what it is worth to that desk there."""
    picks = np.sort(rng.choice(np.arange(len(FX), len(held)), size=max(1, len(held) // 20), replace=False))
    takers = parties["agreement_id"][parties["schedule"] != "cash-only"].to_numpy(object)
    by_asset = rng.random(len(picks)) < 0.3
    base = held["cost_bps"].to_numpy(float)[picks]
    table = pd.DataFrame(
        {
            "holding_id": np.where(by_asset, None, held["holding_id"].to_numpy(object)[picks]),
            "asset_id": np.where(by_asset, held["asset_id"].to_numpy(object)[picks], None),
            "agreement_id": rng.choice(takers, len(picks)),
            "cost_bps": np.round(base * rng.uniform(0.5, 1.5, len(picks)), 1),
        }
    )
    return table[~table.duplicated(["holding_id", "asset_id", "agreement_id"])].reset_index(drop=True)


def _schedule_files() -> set[str]:
    """Every schedule file a generated book may have."""
    return {f"schedules/{_file_name(kind.schedule)}" for kind in _ARCHETYPES}


def _file_name(schedule: str) -> str:
    return f"{schedule}.csv" if schedule == "ccp-treasuries" else f"{schedule}.yaml"


def _schedule_text(schedule: str, assets: pd.DataFrame) -> str:
    """The text of a schedule's file: the shipped rules, or a clearing house's list of the Treasuries."""
    if schedule != "ccp-treasuries":
        return (files("collateral_opt") / "desk_schedules" / f"{schedule}.yaml").read_text(encoding="utf-8")
    listed = assets[(assets["_kind"] == "sovereign") & (assets["issuer_country"] == "US")]
    years = listed["_years"].to_numpy(float)
    haircut = np.array([0.005, 0.02, 0.03, 0.045, 0.08])[np.searchsorted([1.0, 3.0, 5.0, 10.0], years)]
    # the longest are capped or refused, as clearing houses do
    rows = {
        "asset_id": ["USD", *listed["asset_id"]],
        "eligible": ["yes", *np.where(years > 29, "no", "yes")],
        "haircut": [0.0, *haircut],
        "max_quantity": [np.nan, *np.where(years > 20, 25e6, np.nan)],
        "max_value": [np.nan, *np.where((years > 10) & (years <= 20), 40e6, np.nan)],
    }
    return csv_text(pd.DataFrame(rows))


def _settings_text(settings: Mapping[str, Any]) -> str:
    import yaml

    return yaml.safe_dump(dict(settings), sort_keys=False, allow_unicode=True)
