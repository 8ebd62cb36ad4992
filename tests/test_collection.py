"""The search for cycles is put off while a run lasts, and goes on as it was afterwards."""

from __future__ import annotations

import gc

import pytest

from collateral_opt.collection import put_off


def test_it_goes_on_when_the_last_run_is_over() -> None:
    assert gc.isenabled()
    with put_off():
        assert not gc.isenabled()
        with put_off():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


def test_it_goes_on_after_a_run_that_fails() -> None:
    with pytest.raises(ZeroDivisionError), put_off():
        print(1 / 0)
    assert gc.isenabled()


def test_who_has_turned_it_off_keeps_it_so() -> None:
    gc.disable()
    try:
        with put_off():
            assert not gc.isenabled()
        assert not gc.isenabled()
    finally:
        gc.enable()
