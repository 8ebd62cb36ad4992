"""Each kind of change moves in the book exactly what it names, and says all that does not fit at once."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path

import pytest

from collateral_opt import Book, Session, WhatIf, optimise, read_book, read_words
from collateral_opt.errors import BookError, UsageError
from collateral_opt.scenarios.kinds import CallMoved, Downgraded, HaircutMoved, PriceMoved
from collateral_opt.scenarios.what_if import compared
from collateral_opt.scenarios.words import read_change
from tests.book.small import Desk
from tests.desks import asset
from tests.desks import desk as desk_of_rows
from tests.scenarios.differences import differences

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "what-if"


@pytest.fixture(scope="module")
def book() -> Book:
    return read_book(EXAMPLE)


def desk() -> Desk:
    """The small desk, with something received that may be re-used, and pins by holding, facility and call."""
    made = Desk()
    made.rows["received"] = [
        {"received_id": "X1", "agreement_id": "BETA", "asset_id": "BUND", "quantity": "500", "reuse": "true"}
    ]
    made.rows["pins"] += [
        {"call_id": "C2", "holding_id": "H2", "quantity": "", "forbid": "true"},
        {"call_id": "C1", "holding_id": "", "facility_id": "F2", "quantity": "", "forbid": ""},
    ]
    return made


MOVES = [
    ("call:MC7.amount=+20%", {"calls MC7 amount: 1000000.0 -> 1200000.0"}),
    ("call:MC7.amount=-0.01", {"calls MC7 amount: 1000000.0 -> 999999.99"}),
    ("call:*.amount=5", {"calls MC7 amount: 1000000.0 -> 5.0", "calls MC8 amount: 500000.0 -> 5.0"}),
    ("call:MC7.due=none", {
        "calls MC7 due: 2026-03-24 19:00:00+00:00 -> -", "calls MC7 due_date: 2026-03-24 00:00:00 -> -",
    }),
    ("call:MC7.due=+90m", {"calls MC7 due: 2026-03-24 19:00:00+00:00 -> 2026-03-24 20:30:00+00:00"}),
    (
        # 15:00 in New York and ten hours: on the desk's calendar the next day
        "call:MC7.due=+10h",
        {
            "calls MC7 due: 2026-03-24 19:00:00+00:00 -> 2026-03-25 05:00:00+00:00",
            "calls MC7 due_date: 2026-03-24 00:00:00 -> 2026-03-25 00:00:00",
        },
    ),
    (
        # past midnight in Tokyo, and still the 24th in UTC
        "call:MC7.due=2026-03-25T07:00:00+09:00",
        {
            "calls MC7 due: 2026-03-24 19:00:00+00:00 -> 2026-03-24 22:00:00+00:00",
            "calls MC7 due_date: 2026-03-24 00:00:00 -> 2026-03-25 00:00:00",
        },
    ),
    ("asset:BUND30.price=97", {"assets BUND30 price: 98.0 -> 97.0"}),
    ("price:sovereign=-10%", {
        "assets BUND30 price: 98.0 -> 88.2", "assets BTP32 price: 100.0 -> 90.0", "assets UST27 price: 100.0 -> 90.0",
    }),
    ("price:all=+1", {
        "assets BUND30 price: 98.0 -> 99.0", "assets BTP32 price: 100.0 -> 101.0", "assets UST27 price: 100.0 -> 101.0",
        "assets ACME29 price: 100.0 -> 101.0",
    }),
    ("fx:EUR=-5%", {"fx EUR rate: 1.2 -> 1.14"}),
    ("fx:*=1.3", {"fx EUR rate: 1.2 -> 1.3"}),
    ("downgrade:{issuer_country: IT}=1", {
        "assets BTP32 rating_sp: BBB -> BBB-", "assets BTP32 rating_moodys: Baa3 -> Ba1",
    }),
    ("downgrade:{asset_id: BTP32}=21", {"assets BTP32 rating_sp: BBB -> D", "assets BTP32 rating_moodys: Baa3 -> D"}),
    ("holding:H1.cost_bps=to -2", {"holdings H1 cost_bps: 5.0 -> -2.0"}),
    ("holding:H1.quantity=-25%", {"holdings H1 quantity: 1000000.0 -> 750000.0"}),
    ("cost_bps:{currency: EUR}=+1.5", {"holdings H2 cost_bps: 10.0 -> 11.5", "holdings H3 cost_bps: 12.0 -> 13.5"}),
    ("facility:REPO.capacity=-50%", {"facilities REPO capacity: 1000000.0 -> 500000.0"}),
    ("facility:*.one_off_bps=3", {"facilities REPO one_off_bps: 0.0 -> 3.0"}),
    ("agreement:IM1.cash_return=+5", {"agreements IM1 cash_return_bps: 0.0 -> 5.0"}),
    ("agreement:*.cash_return:EUR=to -4", {"cash_returns +IM1/EUR", "cash_returns +VM1/EUR"}),
    ("agreement:*.schedule=eu-im", {"agreements IM1 schedule: us-im -> eu-im"}),
    ("agreement:IM1.schedule=eu-im", {"agreements IM1 schedule: us-im -> eu-im"}),
    ("agreement:IM1.schedule=lcr-hqla", {"agreements IM1 schedule: us-im -> lcr-hqla", "schedule lcr-hqla"}),
    ("haircut:all=+0.01", {"schedule us-im", "schedule eu-im"}),
    ("schedule:eu-im.haircut:sovereign=0.1", {"schedule eu-im"}),
    # nobody else trades under us-im, VM1's schedule is the repo's too
    ("agreement:IM1.haircut=+0.01", {"schedule us-im"}),
    ("agreement:VM1.haircut=+0.01", {"schedule eu-im (VM1)", "agreements VM1 schedule: eu-im -> eu-im (VM1)"}),
    ("schedule:us-im.fx_haircut=0.08", {"schedule us-im"}),
    ("agreement:VM1.fx_haircut=0.1", {"schedule eu-im (VM1)", "agreements VM1 schedule: eu-im -> eu-im (VM1)"}),
    ("schedule:us-im.limit:one issuer=0.2", {"schedule us-im"}),
    ("house.limit:one issuer=-90%", {"house limits"}),
    ("remove:call=MC8", {"calls -MC8"}),
    ("remove:agreement=VM1", {"calls -MC8", "agreements -VM1"}),
    ("remove:counterparty=Rhine Bank", {"calls -MC8", "agreements -VM1", "facilities -REPO"}),
    ("remove:facility=REPO", {"facilities -REPO"}),
    ("remove:holding=H1", {"holdings H1 quantity: 1000000.0 -> 0.0"}),
    ("remove:asset=USD", {"holdings H5 quantity: 5000000.0 -> 0.0", "facilities REPO capacity: 1000000.0 -> 0.0"}),
    ("{new_call: {call_id: N1, agreement_id: VM1, amount: 0.5}}", {"calls +N1"}),
    ("{pin: {call_id: MC7, holding_id: H1, forbid: true}}", {"pins +MC7/H1/-"}),
]  # fmt: skip


@pytest.mark.parametrize(("word", "expected"), MOVES, ids=[word for word, _ in MOVES])
def test_a_change_moves_what_it_names_and_nothing_else(book: Book, word: str, expected: set[str]) -> None:
    assert differences(book, read_words([word])(book)) == expected


def test_a_new_call_is_read_as_a_row_of_calls_in_the_agreements_currency(book: Book) -> None:
    word = "{new_call: {call_id: N1, agreement_id: VM1, amount: 0.5, due: '2026-03-25T01:00:00+09:00', priority: 2}}"
    calls = read_words([word])(book).calls.set_index("call_id")
    row = calls.loc["N1"]
    assert (row["agreement_id"], row["amount"], row["currency"], row["priority"]) == ("VM1", 0.5, "EUR", 2)
    # one in the morning in Tokyo is the day before in UTC; what it is due on is the day where it is due
    assert (str(row["due"]), str(row["due_date"].date())) == ("2026-03-24 16:00:00+00:00", "2026-03-25")
    assert str(calls.loc["MC7", "due_date"].date()) == "2026-03-24"


def test_what_is_removed_takes_along_all_that_names_it() -> None:
    book = desk().book()
    assert differences(book, read_words(["remove:counterparty=Acme"])(book)) == {
        "agreements -ACME", "calls -C1", "cash_returns -ACME/USD", "posted -ACME/BUND/H2", "costs -H1/-/ACME/-",
        "pins -C1/H2/-", "pins -C1/-/F2",
    }  # fmt: skip
    assert differences(book, read_words(["remove:agreement=BETA"])(book)) == {
        "agreements -BETA", "calls -C2", "received -X1", "pins -C2/H2/-",
    }  # fmt: skip
    assert differences(book, read_words(["remove:facility=F1"])(book)) == {"facilities -F1", "costs --/UST/-/F1"}


def test_of_an_asset_removed_nothing_can_be_delivered_and_what_is_posted_stays() -> None:
    book = desk().book()
    assert differences(book, read_words(["remove:asset=BUND"])(book)) == {
        "holdings H2 quantity: 20000000.0 -> 0.0", "received X1 reuse: True -> False",
        "pins -C1/H2/-",  # asks for some of it; the pin that forbids it may stay
    }  # fmt: skip
    assert differences(book, read_words(["remove:asset=EUR"])(book)) == {
        "holdings H1 quantity: 5000000.0 -> 0.0", "facilities F1 capacity: 1000000.0 -> 0.0",
        "facilities F2 capacity: 5000.0 -> 0.0", "pins -C1/-/F2",
    }  # fmt: skip


def test_what_is_posted_of_an_asset_removed_is_not_recalled() -> None:
    book = read_book(ROOT / "examples" / "substitution")  # its scope is reoptimise
    assert differences(book, read_words(["remove:asset=USD"])(book)) == {
        "holdings H-CASH quantity: 98000.0 -> 0.0", "posted BANK/USD/H-CASH locked: False -> True",
    }  # fmt: skip
    assert differences(book, read_words(["remove:holding=H-CORP"])(book)) == {
        "holdings H-CORP quantity: 900000.0 -> 0.0", "posted FUND/CORP/H-CORP locked: False -> True",
    }  # fmt: skip


def test_a_downgrade_leaves_what_is_not_rated_and_knows_each_agencys_letters() -> None:
    small = Desk()
    for row, dbrs, sovereign in zip(small.rows["assets"], ("", "NR", "AA (low) *-"), ("", "AA+", "AA"), strict=True):
        row["rating_dbrs"], row["sovereign_rating_sp"] = dbrs, sovereign
    book = small.book()
    # DBRS: AAL, AH; the sovereign's own rating is another scope
    assert differences(book, read_words(["downgrade:all=2"])(book)) == {
        "assets BUND rating_sp: AAA -> AA", "assets UST rating_sp: AA+ -> AA-",
        "assets UST rating_dbrs: AA (low) *- -> A",
    }  # fmt: skip
    sovereign = WhatIf(changes=(Downgraded(downgrade=1, of="all", scope="sovereign"),))
    assert differences(book, sovereign(book)) == {
        "assets BUND sovereign_rating_sp: AA+ -> AA", "assets UST sovereign_rating_sp: AA -> AA-",
    }  # fmt: skip


def test_a_limit_moves_by_its_cap_and_only_where_it_is_named(book: Book) -> None:
    after = read_words(["schedule:us-im.limit:one issuer=0.2"])(book)
    (limit,) = after.schedules["us-im"].limits
    (was,) = book.schedules["us-im"].limits
    assert limit.caps[0].share == Fraction(1, 5)
    assert limit.model_copy(update={"caps": was.caps}) == was
    house = read_words(["house.limit:one issuer=+1"])(book).house_limits
    assert house[0].caps[0].amount == 5_000_001  # type: ignore[union-attr]


def test_fx_haircuts_move_in_every_schedule_that_has_one_and_in_their_rate_alone() -> None:
    book = read_book(ROOT / "examples" / "desk")
    after = read_words(["fx_haircut=+0.02"])(book)
    rates = {}
    for name, was in book.schedules.items():
        now = after.schedules[name]
        if was.fx_haircut is None or now.fx_haircut is None:
            assert now == was
            continue
        assert now.model_copy(update={"fx_haircut": was.fx_haircut}) == was
        assert now.fx_haircut.model_copy(update={"rate": was.fx_haircut.rate}) == was.fx_haircut
        rates[name] = now.fx_haircut.rate
    # 8 % twice and 6 %, as their files say
    assert rates == {"us-im": Fraction(1, 10), "eu-im": Fraction(1, 10), "g7-sovereigns": Fraction(8, 100)}
    # a move stops at 0
    lower = read_words(["schedule:g7-sovereigns.fx_haircut=-0.5"])(book).schedules["g7-sovereigns"].fx_haircut
    assert lower is not None and lower.rate == 0
    with pytest.raises(UsageError, match=r"ccp-treasuries: a list has no FX haircut\. Move its haircuts\."):
        read_words(["schedule:ccp-treasuries.fx_haircut=0.1"])(book)


@pytest.mark.parametrize(
    ("word", "factor"),
    [
        # a bond in euros at 2 %, called in dollars: 1 - 0.02 - 0.08, and two points less; without, 0.98 - 0.05
        ("fx_haircut=+0.02", Fraction(88, 100)),
        ("schedule:s.fx_haircut=-50%", Fraction(94, 100)),
        ("agreement:A.fx_haircut=0", Fraction(98, 100)),
    ],
)
def test_what_an_fx_haircut_costs(word: str, factor: Fraction) -> None:
    schedule = {"rules": [{"label": "all", "haircut": 0.02}], "fx_haircut": {"rate": 0.08}}
    book = desk_of_rows(
        assets=[asset("B", currency="EUR")],
        holdings=[{"holding_id": "H", "asset_id": "B", "quantity": 5e6, "cost_bps": 36.0}],
        agreements=[{"agreement_id": "A", "counterparty": "Bank", "schedule": "s", "base_currency": "USD"}],
        calls=[{"call_id": "C", "agreement_id": "A", "amount": 900_000.0, "currency": "USD"}],
        fx=[{"currency": "EUR", "rate": 1.0}],
        schedules={"s": schedule},
    )
    (found,) = compared(book, [read_words([word])])
    # 36 bp a year on 900,000 / 0.9 = 1,000,000 for 360 days of 360; a bond is 1.00
    assert found.cost.before == 3600.0
    assert found.cost.after == pytest.approx(float(900_000 / factor) * 36e-4, abs=36e-4)


def test_an_agreement_whose_schedule_is_shared_gets_a_copy_once(book: Book) -> None:
    words = ["agreement:VM1.haircut:sovereign=+0.01", "agreement:VM1.rule:cash=+0.02"]
    after = read_words(words)(book)
    assert after.schedules["eu-im"] == book.schedules["eu-im"]
    assert set(after.schedules) == {"us-im", "eu-im", "eu-im (VM1)"}
    assert after.facilities["takes"].tolist() == ["eu-im"]


def test_changes_are_made_in_their_order(book: Book) -> None:
    def price(*words: str) -> float:
        return float(read_words(words)(book).assets.set_index("asset_id").loc["BTP32", "price"])

    # 80 less a tenth; 90, and then 80
    assert price("asset:BTP32.price=80", "asset:BTP32.price=-10%") == 72
    assert price("asset:BTP32.price=-10%", "asset:BTP32.price=80") == 80
    # once Italy is Ba1, it is no longer at most Baa3
    rated = "price:{rating: {at_least: BBB-, agencies: moodys, resolve: lowest}}=50"
    assert price("downgrade:{issuer_country: IT}=1", rated) == 100
    assert price(rated, "downgrade:{issuer_country: IT}=1") == 50
    one, two = read_words(["asset:BTP32.price=80"], "set"), read_words(["asset:BTP32.price=-10%"], "fall")
    assert one.then(two).name == "set and fall"
    assert one.then(two)(book).digest == two(one(book)).digest


def test_a_call_that_was_added_can_be_changed_by_what_follows(book: Book) -> None:
    words = [
        "{new_call: {call_id: N1, agreement_id: IM1, amount: 100, due: '2026-03-24T12:00:00-04:00'}}",
        "call:N1.amount=+50%",
        "call:N1.due=+1d",
    ]
    row = read_words(words)(book).calls.set_index("call_id").loc["N1"]
    assert (row["amount"], str(row["due"]), str(row["due_date"].date())) == (
        150, "2026-03-25 16:00:00+00:00", "2026-03-25",
    )  # fmt: skip


def test_of_every_call_those_without_a_deadline_have_none_later() -> None:
    book = Desk().book()  # C2 has none
    assert differences(book, read_words(["call:*.due=+1h"])(book)) == {
        "calls C1 due: 2026-03-31 15:00:00+00:00 -> 2026-03-31 16:00:00+00:00"
    }
    with pytest.raises(UsageError, match=r"call 'C2' has no due time that could be moved\. Write the time itself\."):
        read_words(["call:C2.due=+1h"])(book)


def test_figures_are_worked_out_as_decimals(book: Book) -> None:
    # 1.2 * 1.1 is 1.3200000000000001 in floats
    assert read_words(["fx:EUR=+10%"])(book).fx["rate"].tolist() == [1.32]


def test_nothing_changes_without_a_change(book: Book) -> None:
    assert WhatIf(name="as it stands")(book) is book
    assert WhatIf(name="as it stands").as_change(book) is not None


# -------------------- what does not fit


WRONG = [
    ("call:MC9.amount=5", "call 'MC9' is not in the book. Correct the identifier, or leave it out."),
    ("call:MC7.amount=-1000000", "amount of call 'MC7' would be 0: it must be above 0"),
    ("call:MC7.amount=+1e16", "amount of call 'MC7' would be 1.0000000001e+16: it must be above 0, and 1e+16 at most"),
    ("call:MC7.due=+99999999d", "call 'MC7' would be due out of all time. Write fewer days."),
    ("asset:BUND31.price=5", "asset 'BUND31' is not in the book. Did you mean BUND30?"),
    ("asset:USD.price=2", "is cash, which is worth one of its currency. Move the rate: fx:EUR=2."),
    ("price:corporat=-5%", "no asset of the book is of class 'corporat'. Did you mean corporate?"),
    ("price:{issuer_country: XX}=-5%", "is true of no asset of the book"),
    ("price:{issuer_contry: IT}=-5%", "assets have no column issuer_contry. Did you mean issuer_country?"),
    ("fx:GBP=-5%", "currency 'GBP' is not in the book"),
    ("fx:USD=1.1", "USD is the base currency, whose rate is 1"),
    ("fx:EUR=-100%", "rate of currency 'EUR' would be 0: it must be above 0"),
    ("downgrade:cash=1", "has a rating (asset and issuer) that could be lowered"),
    ("haircut:corporate=+0.92", "us-im, rule 3 'corporates': the haircut would be 1: it must be at least 0"),
    ("schedule:us-im.rule:cash=to -0.1", "the haircut would be -0.1"),
    ("fx_haircut=+0.02", "eu-im and us-im: there is no FX haircut that could be moved. Name a schedule"),
    ("schedule:us-im.fx_haircut=-0.02", "us-im: there is no FX haircut that could be moved."),
    ("schedule:us-im.fx_haircut=1", "us-im, FX haircut: the haircut would be 1: it must be at least 0 and below 1"),
    ("schedule:us-in.fx_haircut=0.1", "schedule 'us-in' is not in the book. Did you mean us-im?"),
    ("agreement:*.fx_haircut=0.1", "agreement '*' is not in the book. Name each by itself."),
    ("schedule:us-in.haircut=0.1", "schedule 'us-in' is not in the book. Did you mean us-im?"),
    ("schedule:us-im.rule:corporate=0.1", "no rule 'corporate' takes anything. Did you mean corporates?"),
    ("schedule:us-im.limit:issuer=0.1", "schedule 'us-im' has no limit 'issuer'. Did you mean one issuer?"),
    ("schedule:eu-im.limit:issuer=0.1", "schedule 'eu-im' has no limit 'issuer'. It has none."),
    ("schedule:us-im.limit:one issuer=to -1", "max is -1 (must be at least 0)"),
    ("{limit: one issuer, schedule: us-im, max: 0.3, cap: money}", "has caps of requirement. Name one: cap: "),
    ("house.limit:one isuer=5", "the house has no limit 'one isuer'. Did you mean one issuer?"),
    ("agreement:IM1.schedule=us-ix", "there is no schedule 'us-ix': not in the book, not published, and no file."),
    ("agreement:IM2.cash_return=5", "agreement 'IM2' is not in the book. Correct"),
    ("holding:H1.quantity=-1000001", "quantity of holding 'H1' would be -1: it must be 0 to 1e+16"),
    ("facility:REPO.capacity=to -1", "capacity of facility 'REPO' would be -1"),
    ("remove:counterparty=Rhine", "counterparty 'Rhine' is not in the book"),
    ("{new_call: {call_id: MC7, agreement_id: IM1, amount: 5}}", "call 'MC7' is in the book already"),
    ("{new_call: {call_id: N1, agreement_id: IM1, amount: -5}}", "amount: -5 is not above 0"),
    ("remove:agreement=*", "agreement '*' is not in the book. Name each by itself."),
    ("agreement:*.haircut=+0.01", "agreement '*' is not in the book. Name each by itself."),
    ("agreement:*.limit:one issuer=0.1", "agreement '*' is not in the book. Name each by itself."),
    ("{pin: {call_id: MC7, holding_id: H9}}", "holding 'H9' is not in the book"),
]  # fmt: skip


@pytest.mark.parametrize(("word", "said"), WRONG, ids=[word for word, _ in WRONG])
def test_what_does_not_fit_is_named_with_its_change_and_a_remedy(book: Book, word: str, said: str) -> None:
    with pytest.raises(UsageError, match="the changes do not fit the book") as error:
        read_words([word])(book)
    (line,) = str(error.value).splitlines()[1:]
    assert line.startswith(f"  {read_change(word)}: ") and said in line


@pytest.mark.parametrize("word", ["schedule:us-im.haircut:sovereign=+0.93", "haircut:{asset_type: cash}=+0.96"])
def test_a_move_is_not_refused_for_rules_that_none_of_the_assets_meets(book: Book, word: str) -> None:
    # corporates stand at 0.08, and 0.08 + 0.93 would be too much for them
    after = read_words([word])(book)
    rules = {rule.label: rule.haircut for rule in after.schedules["us-im"].rules}
    assert rules["corporates"] == Fraction(8, 100) and after.digest != book.digest


def test_everything_that_does_not_fit_is_said_at_once(book: Book) -> None:
    with pytest.raises(UsageError) as error:
        read_words([word for word, _ in WRONG])(book)
    assert [said for _, said in WRONG if said not in str(error.value)] == []
    with pytest.raises(UsageError):
        read_words(["call:MC9.amount=5"]).as_change(book)


def test_a_word_for_two_classes_is_ambiguous_where_they_differ() -> None:
    small = Desk()
    small.rows["assets"][1]["issuer_type"], small.rows["assets"][2]["sector"] = "agency", "agency"
    with pytest.raises(
        UsageError, match=r"'agency' is a value of issuer_type and of sector, .* Write \{issuer_type: a"
    ):
        read_words(["price:agency=-5%"])(small.book())


def test_an_asset_of_which_the_criterion_cannot_be_told_is_outside() -> None:
    small = Desk()
    small.rows["assets"][1]["issuer_type"] = "sovereign"  # the other bond's issuer type is empty
    book = small.book()
    assert differences(book, read_words(["price:sovereign=+1"])(book)) == {"assets BUND price: 98.5 -> 99.5"}


def test_a_book_that_a_change_spoils_is_refused_as_any_book(book: Book) -> None:
    with pytest.raises(BookError, match="E401"):
        read_words(["{new_call: {call_id: N1, agreement_id: IM1, amount: 5, currency: JPY}}"])(book)


# -------------------- to the session


WARM = ["call:MC7.amount=+20%", "price:sovereign=-10%", "holding:H2.quantity=-50%", "cost_bps:corporate=+10"]


@pytest.mark.parametrize("words", [*([word] for word in WARM), WARM, ["remove:holding=H2"]])
def test_what_moves_only_figures_of_a_session_is_a_change_for_it(book: Book, words: list[str]) -> None:
    what_if = read_words(words, "warm")
    change = what_if.as_change(book)
    assert change is not None and change.name == "warm"
    assert change.applied_to(book).digest == what_if(book).digest
    # the session's optimum knows no lots: at most a lot of each line (1.20 of value, 40 bp) below the run's
    cost = Session(book).solve(change).cost
    assert optimise(what_if(book)).total_cost == pytest.approx(cost, abs=0.05)


def test_anything_else_is_none(book: Book) -> None:
    warm = {word for word, _ in MOVES if read_words([word]).as_change(book) is not None}
    assert warm == {
        word
        for word, moved in MOVES
        if all(re.match(r"calls \w+ amount|assets \w+ price|holdings \w+ (quantity|cost_bps)", one) for one in moved)
    }
    assert len(warm) == 10


# -------------------- from Python


def test_kinds_take_python_figures(book: Book) -> None:
    built = WhatIf(name="n", changes=(
        CallMoved(call="MC7", amount=-5e5),  # a number stands for itself
    ))  # fmt: skip
    with pytest.raises(UsageError, match="would be -500,000"):
        built(book)
    built = WhatIf(changes=(PriceMoved(price="-5%", of={"issuer_country": "IT"}), HaircutMoved(haircut="+0.02")))
    assert built.words == ("price:{issuer_country: IT}=-5%", "haircut:all=+0.02")
    assert built == read_words(built.words, "")
