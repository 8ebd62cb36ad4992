"""What a session measured, as a table for people, a table for programs, and a plot of how cost grows with size."""

from __future__ import annotations

import csv
import math
import os
import platform
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np

from tests.benchmarks.books import Size
from tests.benchmarks.fresh import Run, Stopped
from tests.benchmarks.peers import FROM_BOOK, OURS, PEERS
from tests.benchmarks.peers.session import COMMAND, LONG, ROAD, Late, Session

PACKAGES = ("collateral-opt", "highspy", "linopy", "numpy", "ortools", "pandas", "pulp")

NAMED = {OURS: "**ours**", FROM_BOOK: "ours, matching included", **{n: peer.title for n, peer in PEERS.items()}}

COLUMNS = (
    "name", "holdings", "calls", "runs", "cpu_s", "wall_s", "memory_gb", "times_ours", "optimum", "difference",
    "outcome",
)  # fmt: skip


def write(session: Session, out: Path, agreed: float) -> str:
    """Write ``peers.csv``, ``peers.md`` and ``growth.svg`` into ``out``; returns the text of ``peers.md``.

    Optima are the same that differ by no more than ``agreed``, relative to ours.
    """
    out.mkdir(parents=True, exist_ok=True)
    _write_csv(session, out / "peers.csv")
    _write_plot(session, out / "growth.svg")
    text = "\n\n".join([optima(session), _agreement(session, agreed), _whole(session), _machine(session)]) + "\n"
    (out / "peers.md").write_text(text, encoding="utf-8")
    return text


def differing(session: Session, agreed: float) -> list[str]:
    """Each peer and size with another optimum than ours."""
    return [f"{name} at {size}" for (name, size), d in _differences(session).items() if d > agreed]


def growth(points: Sequence[tuple[float, float]]) -> float:
    """The power of the first figure that the second grows with: the slope between their logarithms."""
    x, y = np.log(np.array(points)).T
    return float(np.polyfit(x, y, 1)[0])


def _differences(session: Session) -> dict[tuple[str, Size], float]:
    """How far each peer's optimum is from ours, relative to it."""
    found = {}
    for size in session.sizes:
        ours = session.middle(OURS, size)
        for name in PEERS:
            theirs = session.middle(name, size)
            if isinstance(ours, Run) and isinstance(theirs, Run):
                found[name, size] = abs(theirs.value - ours.value) / abs(ours.value)
    return found


def optima(session: Session) -> str:
    """Processor seconds to the optimum, those of ours that fit into them, and peak memory."""
    rows = []
    for name in _tried(session):
        cells = []
        for size in session.sizes:
            found, ours = session.middle(name, size), session.middle(OURS, size)
            cells.append(_cell(found, _ratio(found, ours) if name in PEERS else ""))
        points = [(s.pairs, run.cpu_s) for s in session.sizes if isinstance(run := session.middle(name, s), Run)]
        rows.append([NAMED[name], *cells, f"{growth(points):.1f}" if len(points) > 1 else ""])
    return _table(["to the linear optimum", *map(str, session.sizes), "power"], rows)


def _times(found: Run | Stopped | None, ours: Run | Stopped | None) -> float | None:
    """How often our processor seconds go into a peer's."""
    return found.cpu_s / ours.cpu_s if isinstance(found, Run) and isinstance(ours, Run) else None


def _ratio(found: Run | Stopped | None, ours: Run | Stopped | None) -> str:
    if isinstance(found, Late) and isinstance(ours, Run):
        return f" (more than {found.seconds / ours.cpu_s:,.1f} x)"
    times = _times(found, ours)
    return f" ({times:,.1f} x)" if times is not None else ""


def _cell(found: Run | Stopped | None, ratio: str = "") -> str:
    if isinstance(found, Run):
        return f"{_seconds(found.cpu_s)}{ratio}, {found.memory_gb:.1f} GB"
    return found.reason + ratio if found is not None else ""


def _agreement(session: Session, agreed: float) -> str:
    others, differences = differing(session, agreed), _differences(session)
    if others:
        return f"**Optima differ by more than {agreed:.0e}: {', '.join(others)}.**"
    most = max(differences.values(), default=0.0)
    pairs = ", ".join(f"{session.eligible[s]:,} at {s}" for s in session.sizes)
    return (
        "Processor seconds on one thread (so many times ours), and peak memory of the process. All start from the "
        "eligible pairs in memory, peers with costs and rows too; what matching adds to ours stands below it. Peers "
        "get the rows, and no pair below zero; bounds from the rows are what the cover and the supply of a pair let "
        f"through. All optima found agree to {agreed:.0e} of the cost (the furthest to {most:.0e}). The power is that "
        "of holdings times calls with which seconds grow. Eligible pairs: "
        f"{pairs}."
    )


def _whole(session: Session) -> str:
    """The command against reading and writing alone, and each stage's share of the road."""
    measured = [s for s in session.sizes if isinstance(session.middle(ROAD, s), Run)]
    roads = {s: run.value for s in measured if isinstance(run := session.middle(ROAD, s), Run)}
    rows = []
    for title, of in (("wall clock", "wall_s"), ("processor", "cpu_s")):
        runs = [session.middle(COMMAND, s) for s in session.sizes]
        rows.append([title, *(_seconds(getattr(r, of)) if isinstance(r, Run) else _cell(r) for r in runs)])
    rows.append(["peak memory", *(f"{r.memory_gb:.1f} GB" if isinstance(r, Run) else "" for r in runs)])
    for stage in dict.fromkeys(stage for road in roads.values() for stage in road):
        rows.append([stage, *(_share(roads.get(s, {}), stage) for s in session.sizes)])
    ratios = [
        f"{run.wall_s / (roads[s]['reading'] + roads[s]['writing']):.1f} x"
        if s in roads and isinstance(run := session.middle(COMMAND, s), Run)
        else ""
        for s in session.sizes
    ]
    rows.append(["wall clock to reading and writing", *ratios])
    return _table(["files to files", *map(str, session.sizes)], rows)


def _share(road: dict[str, float], stage: str) -> str:
    if stage not in road:
        return ""
    return f"{_seconds(road[stage])} ({road[stage] / sum(road.values()):.0%})"


def _machine(session: Session) -> str:
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return (
        f"{_cpu_name()}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}, {versions}. "
        f"Median of {session.repeats}, or the one run where that took over {LONG:.0f} s; none was given more than "
        f"{session.patience:,.0f} s or {session.memory_gb:.0f} GB."
    )


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


def _write_csv(session: Session, file: Path) -> None:
    """A row for each name and size; under the road one for each of its stages."""
    differences = _differences(session)
    with file.open("w", encoding="utf-8", newline="") as out:
        rows = csv.DictWriter(out, COLUMNS, lineterminator="\n")
        rows.writeheader()
        for (name, size), runs in session.outcomes.items():
            found, of = session.middle(name, size), {"name": name, "holdings": size.holdings, "calls": size.calls}
            if not isinstance(found, Run):
                rows.writerow({**of, "runs": 0, "outcome": found.reason if found else ""})
                continue
            times = _times(found, session.middle(OURS, size)) if name in PEERS else None
            figures = {
                "runs": len(runs) if isinstance(runs, list) else 0,
                "cpu_s": f"{found.cpu_s:.4f}",
                "wall_s": f"{found.wall_s:.4f}",
                "memory_gb": f"{found.memory_gb:.3f}",
                "times_ours": "" if times is None else f"{times:.2f}",
                "optimum": repr(found.value) if name in NAMED else "",
                "difference": f"{differences[name, size]:.1e}" if (name, size) in differences else "",
            }
            rows.writerow({**of, **figures, "outcome": "done"})
            for stage, seconds in found.value.items() if name == ROAD else ():
                rows.writerow({**of, "name": f"{name}: {stage}", "wall_s": f"{seconds:.4f}", "outcome": "done"})


def _write_plot(session: Session, file: Path) -> None:
    """Processor seconds against holdings times calls, both logarithmic."""
    import matplotlib
    from matplotlib.figure import Figure

    matplotlib.rcParams["svg.hashsalt"] = "growth"
    figure = Figure(figsize=(7.5, 4.5), layout="constrained")
    axes = figure.subplots()
    for name in _tried(session):
        points = [(s.pairs, run.cpu_s) for s in session.sizes if isinstance(run := session.middle(name, s), Run)]
        if points:
            x, y = zip(*points, strict=True)
            width, color = (1.2, None) if name in PEERS else (2.5, "black" if name == OURS else "gray")
            axes.plot(x, y, marker="o", markersize=4, linewidth=width, color=color, label=NAMED[name].strip("*"))
    axes.set(xscale="log", yscale="log", ylabel="processor seconds to the linear optimum", xlabel="holdings x calls")
    axes.set_xticks([s.pairs for s in session.sizes], [str(s) for s in session.sizes])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize="small")
    figure.savefig(file, metadata={"Date": None})


def _tried(session: Session) -> list[str]:
    return [name for name in NAMED if any(name == known for known, _ in session.outcomes)]


def _seconds(seconds: float) -> str:
    """Three figures, no more than two decimals."""
    decimals = max(0, min(2, 2 - math.floor(math.log10(max(seconds, 1e-3)))))
    return f"{seconds:,.{decimals}f} s"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
