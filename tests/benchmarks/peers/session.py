"""One session of measurements: who was run on what, and what came of it."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from tests.benchmarks.books import TINY, Size
from tests.benchmarks.fresh import Run, Stopped, Task, run
from tests.benchmarks.peers import FROM_BOOK, OURS, tasks

COMMAND, ROAD = "command", "road"
LONG = 60.0
"""Processor seconds above which a run is not repeated."""


@dataclass(frozen=True)
class Late(Stopped):
    """Stopped because it took more than so many processor seconds."""

    seconds: float


@dataclass
class Session:
    """What was asked for, and in ``outcomes`` what has been measured so far, by name and size.

    ``patience`` (processor seconds) and ``memory_gb`` are for each run; of ``repeats`` runs the median counts.
    """

    books: Path
    scratch: Path
    patience: float
    memory_gb: float
    repeats: int
    tell: Callable[[str], None]
    outcomes: dict[tuple[str, Size], list[Run] | Stopped] = field(default_factory=dict)
    eligible: dict[Size, int] = field(default_factory=dict)
    """Pairs of a holding and a call."""

    def optima(self, size: Size, peers: Sequence[str]) -> None:
        """The linear optimum as ours and each of ``peers`` find it, in turn, so that all have the same weather."""
        hopeless = {name: Stopped(reason) for name in peers if (reason := self._hopeless(name, size))}
        running = [name for name in peers if name not in hopeless]
        self.outcomes |= {(name, size): reason for name, reason in hopeless.items()}
        folders = {s: self._required(tasks.book_made, s, self.books).value for s in (size, TINY)}
        programs = {s: self.scratch / f"{s.name}.npz" for s in folders}
        self.eligible[size] = self._required(tasks.pairs_counted, folders[size]).value
        if running:
            for s, folder in folders.items():
                self._required(tasks.program_made, folder, programs[s])
        for _ in range(self.repeats):
            self._once(OURS, size, tasks.our_optimum, folders[size], folders[TINY])
            self._once(FROM_BOOK, size, tasks.our_optimum_from_book, folders[size], folders[TINY])
            for name in running:
                self._once(name, size, tasks.peer_optimum, name, programs[size], programs[TINY])
        programs[size].unlink(missing_ok=True)

    def whole(self, size: Size) -> None:
        """The command, files to files, and the same road with a clock at each stage."""
        folder = self._required(tasks.book_made, size, self.books).value
        for turn in range(self.repeats):
            for name, task in ((COMMAND, tasks.command), (ROAD, tasks.road)):
                self._once(name, size, task, folder, self.scratch / f"{name}-{size.name}-{turn}")

    def middle(self, name: str, size: Size) -> Run | Stopped | None:
        """Of the runs of one name, each figure's median; None if there are none."""
        runs = self.outcomes.get((name, size))
        if runs is None or isinstance(runs, Stopped):
            return runs
        value = runs[0].value
        if isinstance(value, dict):
            value = {stage: median(r.value[stage] for r in runs) for stage in value}
        return Run(value, *(median(getattr(r, of) for r in runs) for of in ("cpu_s", "wall_s", "memory_gb")))

    @property
    def sizes(self) -> list[Size]:
        """Those measured, the smallest first."""
        return sorted({size for _, size in self.outcomes})

    def _once(self, name: str, size: Size, prepare: Callable[..., Task], *arguments: object) -> None:
        known = self.outcomes.get((name, size), [])
        if isinstance(known, Stopped) or (known and known[-1].cpu_s > LONG):
            return
        limited = (self.patience, prepare, *arguments)
        outcome = run(tasks.within, *limited, seconds=None, memory_gb=self.memory_gb)
        if isinstance(outcome, Stopped) and outcome.reason.startswith(f"ended by signal {signal.SIGXCPU:d} "):
            outcome = Late(f"more than {self.patience:,.0f} s", self.patience)
        told = outcome.reason if isinstance(outcome, Stopped) else f"{outcome.cpu_s:.2f} s, {outcome.memory_gb:.2f} GB"
        self.tell(f"{size}: {name} {told}")
        self.outcomes[name, size] = outcome if isinstance(outcome, Stopped) else [*known, outcome]

    def _hopeless(self, name: str, size: Size) -> str:
        """Why it need not be tried: what a smaller size took, in proportion to the pairs."""
        for smaller in reversed([s for s in self.sizes if s < size]):
            known = self.middle(name, smaller)
            if isinstance(known, Stopped):
                return f"not tried after {smaller}"
            if known is not None and known.cpu_s * size.pairs / smaller.pairs > self.patience:
                return f"not tried: over {self.patience:,.0f} s in proportion to {smaller}"
        return ""

    def _required(self, prepare: Callable[..., Task], *arguments: object) -> Run:
        outcome = run(prepare, *arguments, seconds=None, memory_gb=self.memory_gb)
        if isinstance(outcome, Stopped):
            raise SystemExit(f"{prepare.__name__} {outcome.reason}")
        return outcome
