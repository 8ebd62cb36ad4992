"""Criteria as documents of the Common Domain Model write them."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]


def every(*parts: Json) -> Json:
    return {"AllCriteria": {"allCriteria": list(parts)}}


def any_of(*parts: Json) -> Json:
    return {"AnyCriteria": {"anyCriteria": list(parts)}}


def negated(part: Json) -> Json:
    return {"NegativeCriteria": {"negativeCriteria": part}}


def country(code: str) -> Json:
    return {"IssuerCountryOfOrigin": {"issuerCountryOfOrigin": code}}
