"""Orders worked by hand, and on random small plans against a search that tries every step next.

What judges the orders here shares nothing with the module but `Step`: it keeps stocks and values in dictionaries and
applies the rules of the plan to them as they are written.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import permutations

import pytest

from collateral_opt.result import moves
from collateral_opt.result.ordering import FEW, Amounts, Bridge, Order, Round, Step, order_steps

ONE = Fraction(1)


@dataclass
class Account:
    """Stocks, agreements' values and floors, step by step."""

    stocks: dict[Hashable, Fraction] = field(default_factory=dict)
    values: dict[Hashable, Fraction] = field(default_factory=dict)
    floors: Amounts = field(default_factory=dict)

    def copy(self) -> Account:
        return Account(dict(self.stocks), dict(self.values), self.floors)

    def lacks(self, step: Step) -> dict[tuple[str, Hashable], Fraction]:
        """By how much each stock that the step takes from is too small, and each agreement ends under its floor."""
        found = {("stock", n): amount - self.stocks.get(n, 0) for n, amount in step.takes.items()}
        for n, amount in step.lowers.items():
            value = self.values.get(n, 0) + step.raises.get(n, 0) - amount
            found["agreement", n] = self.floors.get(n, 0) - value
        return {place: lack for place, lack in found.items() if lack > 0}

    def do(self, step: Step) -> None:
        for level, amounts, sign in (
            (self.stocks, step.takes, -1),
            (self.stocks, step.gives, 1),
            (self.values, step.lowers, -1),
            (self.values, step.raises, 1),
        ):
            for name, amount in amounts.items():
                level[name] = level.get(name, Fraction(0)) + sign * amount

    def after(self, steps: Sequence[Step]) -> Account:
        account = self.copy()
        for step in steps:
            account.do(step)
        return account

    def holds_after(self, steps: Sequence[Step]) -> bool:
        """Whether all is in order once these were done at once."""
        end = self.after(steps)
        lowered = {name for step in steps for name in step.lowers}
        return min(end.stocks.values(), default=0) >= 0 and all(
            end.values[name] >= self.floors.get(name, 0) for name in lowered
        )


@dataclass
class Plan:
    steps: list[Step]
    start: Account

    def order(self) -> Order:
        return order_steps(self.steps, self.start.stocks, self.start.values, self.start.floors)


def money(**amounts: int) -> dict[Hashable, Fraction]:
    return {name: Fraction(amount) for name, amount in amounts.items()}


def recall(agreement: str, value: int, stock: str, units: int) -> Step:
    return Step(
        f"recall {stock} from {agreement}", "recall", lowers=money(**{agreement: value}), gives=money(**{stock: units})
    )


def deliver(stock: str, units: int, agreement: str, value: int) -> Step:
    return Step(
        f"deliver {stock} to {agreement}", "deliver", takes=money(**{stock: units}), raises=money(**{agreement: value})
    )


def singles(*steps: int) -> tuple[Round, ...]:
    return tuple(Round((s,)) for s in steps)


def test_replacement_is_delivered_before_what_it_replaces_is_recalled() -> None:
    plan = Plan(
        [recall("A", 10, "OLD", 1), deliver("NEW", 1, "A", 10)],
        Account(money(NEW=1), money(A=10), money(A=10)),
    )
    assert plan.order() == Order(singles(1, 0), True)


def test_repo_comes_before_its_cash_is_delivered() -> None:
    repo = Step("repo BUND", "repo", takes=money(BUND=100), gives=money(EUR=95))
    plan = Plan([deliver("EUR", 95, "A", 95), repo], Account(money(BUND=100)))
    assert plan.order() == Order(singles(1, 0), True)


def test_chain_starts_where_there_is_excess() -> None:
    # Only A has 10 more than it needs; each link brings the next one what it waits for.
    plan = Plan(
        [deliver("Y", 1, "C", 10), recall("B", 10, "Y", 1), deliver("X", 1, "B", 10), recall("A", 10, "X", 1)],
        Account({}, money(A=20, B=10, C=0), money(A=10, B=10, C=10)),
    )
    assert plan.order() == Order(singles(3, 2, 1, 0), True)


def test_slack_goes_to_the_recall_that_brings_it_back() -> None:
    # 10 of slack at A. Recalling X (10) brings 12 back to A through X; recalling Z (8) first leaves 2, and X must wait
    # for ever, since nothing else raises A.
    plan = Plan(
        [recall("A", 8, "Z", 1), recall("A", 10, "X", 1), deliver("X", 1, "A", 12), deliver("Z", 1, "B", 8),
         recall("B", 8, "W", 1)],
        Account({}, money(A=20, B=8), money(A=10, B=8)),
    )  # fmt: skip
    order = plan.order()
    assert [len(r.steps) for r in order.rounds] == [1] * 5
    at = {r.steps[0]: i for i, r in enumerate(order.rounds)}
    assert at[1] < at[2] < at[0] < at[3] < at[4]


def ring(size: int, name: str) -> Plan:
    """Agreements in a circle; each is to give its bond to the next, and none can spare it."""
    steps: list[Step] = []
    values: dict[Hashable, Fraction] = {}
    for i in range(size):
        steps += [recall(f"{name}{i}", 10, f"X{name}{i}", 1), deliver(f"X{name}{i}", 1, f"{name}{(i + 1) % size}", 10)]
        values[f"{name}{i}"] = Fraction(10)
    return Plan(steps, Account({}, values, values))


def swap(units: int) -> Plan:
    """A holds X and B holds Y, nothing is at home, and each is to have what the other has.

    A: 100, then 102, so its floor is its requirement of 100. B: 98, then 95, so its floor is 95.
    """
    return Plan(
        [recall("A", 100, "X", units), deliver("X", units, "B", 95),
         recall("B", 98, "Y", units), deliver("Y", units, "A", 102)],
        Account({}, money(A=100, B=98), money(A=100, B=95)),
    )  # fmt: skip


def test_swap_happens_at_once_or_with_a_bridge_of_bonds() -> None:
    # One place has to be lent to: 10 X, 10 Y, 100 to A or 95 to B. X and Y are least; X allows the earlier sequence:
    # deliver the lent X to B (98 + 95), recall Y (95 stays), deliver Y to A, recall X and give it back.
    assert swap(10).order() == Order((Round((1, 2, 3, 0), (Bridge("stock", "X", Fraction(10)),)),), True)


def test_swap_happens_at_once_or_with_a_bridge_of_value() -> None:
    # Now 1,000 X or Y are more than 95 lent to B: recall Y (98 - 98 + 95), deliver Y to A, recall X, deliver X to B.
    assert swap(1000).order() == Order((Round((2, 3, 0, 1), (Bridge("agreement", "B", Fraction(95)),)),), True)


def test_two_swaps_are_two_rounds() -> None:
    one, other = ring(2, "A"), ring(2, "B")
    start = Account({}, one.start.values | other.start.values, {**one.start.floors, **other.start.floors})
    order = Plan([*one.steps, *other.steps], start).order()
    assert [set(r.steps) for r in order.rounds] == [{0, 1, 2, 3}, {4, 5, 6, 7}]


def test_step_that_takes_what_it_gives_needs_a_bridge_alone() -> None:
    roll = Step("roll", "repo", takes=money(EUR=10), gives=money(EUR=12))
    assert Plan([roll], Account(money(EUR=3))).order().rounds == (Round((0,), (Bridge("stock", "EUR", Fraction(7)),)),)


def test_agreement_that_starts_under_its_floor_is_raised_before_it_is_lowered() -> None:
    plan = Plan(
        [recall("A", 5, "X", 1), deliver("Y", 1, "A", 15)],
        Account(money(Y=1), money(A=0), money(A=10)),
    )
    assert plan.order() == Order(singles(1, 0), True)


def test_what_waits_for_nothing_keeps_its_order_and_zero_asks_for_nothing() -> None:
    steps = [deliver("H", 1, "A", 1), recall("B", 0, "X", 3), deliver("H", 2, "B", 1), deliver("H", 1, "C", 1)]
    plan = Plan(steps, Account(money(H=4), {}, money(B=7)))
    assert plan.order() == Order(singles(0, 1, 2, 3), True)
    assert order_steps([], {}, {}, {}) == Order((), True)


@pytest.mark.parametrize(
    ("steps", "start", "message"),
    [
        ([deliver("H", 5, "A", 1)], Account(money(H=3)), "after all steps stock 'H' is 2 under zero"),
        ([recall("A", 5, "H", 1)], Account({}, money(A=9), money(A=7)), "agreement 'A' is 3 under its floor"),
        ([deliver("H", -5, "A", 1)], Account(), "step 'deliver H to A' has a negative amount at stock 'H'"),
        (
            [deliver("H", 1, "A", 1), Step("buy", "sell", gives=money(H=5))],
            Account(money(H=-1)),
            "stock 'H' starts negative: -1",
        ),
    ],
)
def test_what_nothing_can_help_is_refused(steps: list[Step], start: Account, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Plan(steps, start).order()


def can_go_one_by_one(account: Account, steps: Sequence[Step]) -> bool:
    """Tries every step next, and then every other one after it."""
    return not steps or any(
        not account.lacks(step) and can_go_one_by_one(account.after([step]), [*steps[:i], *steps[i + 1 :]])
        for i, step in enumerate(steps)
    )


def fewest_joint(plan: Plan) -> int | None:
    """The fewest steps in joint rounds of any order at all, over all subsets; None if there is no order."""
    everything = (1 << len(plan.steps)) - 1

    def chosen(mask: int) -> list[Step]:
        return [s for i, s in enumerate(plan.steps) if mask >> i & 1]

    best = {0: 0}
    for done in range(everything):
        account = plan.start.after(chosen(done))
        part = left = everything & ~done if done in best else 0
        while part:
            steps = chosen(part)
            alone = len(steps) == 1 and not account.lacks(steps[0])
            if alone or account.holds_after(steps):
                cost = best[done] + (0 if alone else len(steps))
                best[done | part] = min(cost, best.get(done | part, cost))
            part = (part - 1) & left
    return best.get(everything)


def lent(account: Account, steps: Sequence[Step]) -> dict[tuple[str, Hashable], Fraction]:
    """What the steps lack in this sequence, at the worst moment of each place."""
    account, found = account.copy(), dict[tuple[str, Hashable], Fraction]()
    for step in steps:
        for place, lack in account.lacks(step).items():
            found[place] = max(lack, found.get(place, lack))
        account.do(step)
    return found


def least_lent(account: Account, steps: Sequence[Step]) -> tuple[int, Fraction]:
    sequences = (lent(account, sequence) for sequence in permutations(steps))
    return min((len(found), sum(found.values(), Fraction(0))) for found in sequences)


def replayed(plan: Plan, order: Order) -> int:
    """The number of steps in joint rounds, after the order was found to keep every rule."""
    account, joint = plan.start.copy(), 0
    for r in order.rounds:
        steps = [plan.steps[i] for i in r.steps]
        needed = lent(account, steps)
        assert needed == {(b.place, b.name): b.amount for b in r.bridges}
        assert needed or len(steps) == 1, "what needs no bridge is not joint"
        assert account.holds_after(steps)
        joint += len(steps) if needed else 0
        account = account.after(steps)
    assert sorted(i for r in order.rounds for i in r.steps) == list(range(len(plan.steps)))
    return joint


def amounts(rng: random.Random, names: Collection[str]) -> dict[Hashable, Fraction]:
    return {name: Fraction(rng.randint(1, 6), rng.choice([1, 1, 2, 3])) for name in names}


def random_plan(rng: random.Random, most: int) -> Plan:
    """Mostly recalls, deliveries and funding; sometimes steps that do anything. Most can end as they should."""
    stocks, agreements = ["S0", "S1", "S2"][: rng.randint(1, 3)], ["A0", "A1", "A2"][: rng.randint(1, 3)]
    wild = rng.random() < 0.3

    def one(names: list[str]) -> dict[Hashable, Fraction]:
        return amounts(rng, [n for n in names if rng.random() < 0.35] if wild else [rng.choice(names)])

    steps = []
    for i in range(rng.randint(1, most)):
        kind = rng.choice(["recall", "recall", "deliver", "deliver", "repo"])
        steps.append(
            Step(
                f"{kind} {i}",
                kind,
                takes=one(stocks) if wild or kind != "recall" else {},
                gives=one(stocks) if wild or kind != "deliver" else {},
                raises=one(agreements) if wild or kind == "deliver" else {},
                lowers=one(agreements) if wild or kind == "recall" else {},
            )
        )
    end = Account().after(steps)
    start = Account(
        {n: Fraction(max(0, -end.stocks.get(n, 0) + rng.choice([-1, 0, 0, 0, 1, 2]))) for n in stocks},
        {n: Fraction(rng.randint(0, 8)) for n in agreements},
    )
    asked = {n: Fraction(rng.randint(0, 8)) for n in agreements}
    start.floors = {n: min(asked[n], start.values[n] + end.values.get(n, 0)) for n in agreements}
    return Plan(steps, start)


@pytest.mark.parametrize("seed", range(10))
def test_an_order_is_found_wherever_trying_everything_finds_one(seed: int) -> None:
    rng = random.Random(seed)
    one_by_one = jointly = 0
    for _ in range(60):
        plan = random_plan(rng, 8)
        if not plan.start.holds_after(plan.steps):
            with pytest.raises(ValueError, match="after all steps"):
                plan.order()
            assert not can_go_one_by_one(plan.start, plan.steps)
            continue
        order = plan.order()
        assert order.is_complete
        possible = can_go_one_by_one(plan.start, plan.steps)
        assert (replayed(plan, order) == 0) == possible
        one_by_one, jointly = one_by_one + possible, jointly + (not possible)
    assert one_by_one >= 10
    assert jointly >= 5


@pytest.mark.parametrize("seed", range(10))
def test_joint_rounds_are_as_small_as_can_be_and_so_are_their_bridges(seed: int) -> None:
    rng = random.Random(100 + seed)
    for _ in range(40):
        plan = random_plan(rng, 6)
        fewest = fewest_joint(plan)
        if fewest is None:
            continue
        order = plan.order()
        assert replayed(plan, order) == fewest
        account = plan.start
        for r in order.rounds:
            steps = [plan.steps[i] for i in r.steps]
            assert r.is_least
            assert (len(r.bridges), sum((b.amount for b in r.bridges), Fraction(0))) == least_lent(account, steps)
            account = account.after(steps)


def test_spent_budget_still_gives_an_order_that_holds_and_says_what_is_not_settled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("SURE", "FEW", "WORK"):
        monkeypatch.setattr(moves, name, 0)
    rng = random.Random(7)
    unsettled = 0
    for _ in range(400):
        plan = random_plan(rng, 8)
        if plan.start.holds_after(plan.steps):
            order = plan.order()
            if replayed(plan, order) and order.is_complete:
                assert not can_go_one_by_one(plan.start, plan.steps)
            unsettled += not order.is_complete
    assert unsettled


def test_long_round_has_a_bridge_that_suffices() -> None:
    plan = ring(FEW, "A")  # twice as many steps; one unit of any bond opens the circle
    order = plan.order()
    assert replayed(plan, order) == 2 * FEW
    assert [(len(r.bridges), r.bridges[0].amount, r.is_least) for r in order.rounds] == [(1, ONE, False)]


def test_thousands_of_steps() -> None:
    """A chain through 800 agreements that starts at its end, 100 swaps, and 400 deliveries that wait for nothing."""
    links = 800
    chain = [
        step
        for i in reversed(range(links))
        for step in (deliver(f"X{i}", 1, f"A{i + 1}", 10), recall(f"A{i}", 10, f"X{i}", 1))
    ]
    values: dict[Hashable, Fraction] = {f"A{i}": Fraction(20 if i == 0 else 10) for i in range(links + 1)}
    floors: Mapping[Hashable, Fraction] = {name: Fraction(10) for name in values}
    swaps = [ring(2, f"S{k}.") for k in range(100)]
    free = [deliver("H", 1, f"F{i}", 5) for i in range(400)]
    plan = Plan(
        [*chain, *(s for two in swaps for s in two.steps), *free],
        Account(
            money(H=400),
            values | {n: v for two in swaps for n, v in two.start.values.items()},
            {**floors, **{n: v for two in swaps for n, v in two.start.floors.items()}},
        ),
    )
    order = plan.order()
    assert order.is_complete
    assert replayed(plan, order) == 400
    assert max(len(r.steps) for r in order.rounds) == 4


def test_what_is_not_needed_may_be_negative() -> None:
    nothing = deliver("bond", 0, "acme", 1)
    more = recall("other", 1, "cash", 1)
    stocks, values = money(bond=-1), money(other=1)
    assert order_steps([nothing], stocks, {}, {}).rounds == singles(0)
    assert order_steps([nothing, more], stocks, values, {}).rounds == singles(0, 1)
