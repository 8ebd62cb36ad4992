"""Schedules of every kind, drawn by hypothesis as the forms they are written in."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from eligibility_rules import Schedule, parse_schedule

Form = dict[str, Any]

# what other readers of YAML make something else of, and what needs quoting
ODD = [
    "NO",
    "yes",
    "null",
    "~",
    "1",
    "007",
    "1_000",
    "12:30",
    "2A",
    "a, b",
    "[x]",
    "{y}",
    "k: v",
    "# no",
    "é",
    "-",
    "'",
]
texts = st.sampled_from(["debt-like", "S&P 500", "A+ to BBB-", *ODD]) | st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1, max_size=20
).filter(lambda text: text.strip() != "")
long_texts = (
    texts
    | st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=300)
    | st.lists(st.sampled_from(["plain", "words,", "in: a", "(long)", "row"]), min_size=30, max_size=60).map(" ".join)
)
shares = st.decimals(0, "0.99", places=4, allow_nan=False).map(str) | st.sampled_from(["1/3", "0." + "1" * 40])
tenors = st.sampled_from(["1Y", "5Y", "18M", "2W", "30D"])
letters = st.sampled_from(["AAA", "AA-", "Baa3", "BBB (low)", "CCC"])


def bounds(values: st.SearchStrategy[str]) -> st.SearchStrategy[Form]:
    lower = st.dictionaries(st.sampled_from(["gt", "ge"]), values, min_size=1, max_size=1)
    upper = st.dictionaries(st.sampled_from(["lt", "le"]), values, min_size=1, max_size=1)
    return lower | upper | st.builds(lambda one, other: one | other, lower, upper)


ratings = st.fixed_dictionaries(
    {"at_least": letters},
    optional={
        "scope": st.sampled_from([["asset"], ["asset", "issuer"], ["issuer", "sovereign"]]),
        "agencies": st.sampled_from([["sp"], ["sp", "moodys"], ["sp", "moodys", "fitch", "dbrs"]]),
        "resolve": st.sampled_from(["lowest", "highest", "second_best", "average", "any"]),
    },
)
leaves = st.one_of(
    st.dictionaries(
        st.sampled_from(["issuer_country", "name", "taxonomy_own", "desk's own"]),
        texts | st.lists(texts, min_size=1, max_size=30),
        min_size=1,
        max_size=1,
    ),
    st.sampled_from([{"asset_type": "debt"}, {"own_issue": "true"}, {"own_issue": "false"}]),
    st.sampled_from([{"domestic_currency": "true"}, {"maturity_date": {"lt": "2030-01-01"}}, {"duration": "1"}]),
    bounds(st.sampled_from(["1", "0.5", "10"])).map(lambda inner: {"duration": inner}),
    st.builds(
        lambda measured, inner: {"maturity": {measured: inner}},
        st.sampled_from(["remaining", "original", "since_issue"]),
        bounds(tenors),
    ),
    ratings.map(lambda inner: {"rating": inner}),
)
criteria: st.SearchStrategy[Form] = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=4).map(lambda some: {"all": some}),
        st.lists(inner, min_size=1, max_size=4).map(lambda some: {"any": some}),
        inner.map(lambda one: {"not": one}),
    ),
    max_leaves=8,
)
valuations = st.one_of(
    shares.map(lambda share: {"haircut": share}),
    st.sampled_from(["1", "1.02", "51/50"]).map(lambda ratio: {"margin_ratio": ratio}),
    st.sampled_from(["1", "0.98", "50/51"]).map(lambda share: {"valuation_percentage": share}),
    st.just({"exclude": "true"}),
)
rules = st.builds(
    lambda head, valuation: head | valuation,
    st.fixed_dictionaries(
        {},
        optional={
            "label": texts,
            "when": criteria,
            "margin_type": st.sampled_from(["im", "vm"]),
            "note": long_texts,
        },
    ),
    valuations,
)
caps = st.one_of(
    st.builds(lambda of, most: {"of": of, "max": most}, st.sampled_from(["requirement", "posted"]), shares),
    st.builds(lambda most: {"of": "money", "max": {"amount": most, "currency": "USD"}}, st.sampled_from(["0", "5e7"])),
)
limits = st.builds(
    lambda head, some: head | (some[0] if len(some) == 1 else {"caps": some}),
    st.fixed_dictionaries(
        {},
        optional={
            "label": texts,
            "group_by": st.sampled_from(["none", "asset", "issuer"]),
            "select": criteria,
            "measure": st.sampled_from(["market_value", "value_after_haircut"]),
            "note": long_texts,
        },
    ),
    st.lists(caps, min_size=1, max_size=3),
)
forms = st.fixed_dictionaries(
    {"name": texts, "rules": st.lists(rules, min_size=1, max_size=5)},
    optional={
        "source": long_texts,
        "note": long_texts,
        "fx_haircut": st.fixed_dictionaries(
            {"rate": shares}, optional={"select": criteria, "margin_type": st.just("im")}
        ),
        "overlap": st.sampled_from(["first", "highest_haircut", "error"]),
        "wrong_way": st.sampled_from(["exclude", "allow"]),
        "assume": st.dictionaries(st.sampled_from(["secured_type", "seniority"]), texts, max_size=2),
        "as_of": st.sampled_from(["2026-07-01", "2026-07", "2026", "undated"]),
        "leaves_out": st.lists(long_texts.filter(str.strip), max_size=3),
        "further_haircuts": st.lists(
            st.fixed_dictionaries({"rate": shares}, optional={"label": texts, "select": criteria, "note": long_texts}),
            max_size=2,
        ),
        "limits": st.lists(limits, max_size=3),
    },
)
schedules: st.SearchStrategy[Schedule] = forms.map(lambda form: parse_schedule(form, "drawn"))
