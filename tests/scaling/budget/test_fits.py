"""Which layouts fit, and remedies that work where none does."""

import pytest

from scaling.budget.estimate import training_budget
from scaling.budget.fits import ranked_layouts, remedies_of
from scaling.budget.keys import BudgetKeys, LayoutKeys, ModelKeys
from scaling.errors import UserError

LLAMA = ModelKeys(name="llama-2-7b")


def test_layouts_that_fit_come_first_and_carry_their_days() -> None:
    ranked = ranked_layouts(BudgetKeys(model=LLAMA, devices=8, tokens=1e11))
    assert ranked.found[0].fits
    assert not ranked.remedies
    assert len(ranked.days) == len(ranked.found)
    speeds = [candidate.seconds_per_token for candidate in ranked.found[1:] if candidate.fits]
    assert speeds == sorted(speeds)


def test_what_would_make_a_model_fit_does() -> None:
    ranked = ranked_layouts(BudgetKeys(model=LLAMA))
    assert not ranked.found[0].fits
    more = next(remedy for remedy in ranked.remedies if remedy.startswith("devices="))
    devices = int(more.split(" ")[0].removeprefix("devices="))
    assert ranked_layouts(BudgetKeys(model=LLAMA, devices=devices)).found[0].fits
    assert not ranked_layouts(BudgetKeys(model=LLAMA, devices=devices // 2)).found[0].fits
    # Where the batch is shared by one device, a recipe that takes less memory is a remedy too.
    fewer_bytes = BudgetKeys(model=LLAMA, precision="bf16-true", optimizer="adamw_8bit")
    assert ranked_layouts(fewer_bytes).found[0].fits
    assert any("precision=bf16-true" in remedy for remedy in ranked.remedies)


def test_a_budget_has_remedies_only_where_it_does_not_fit() -> None:
    keys = BudgetKeys(model=LLAMA)
    assert remedies_of(training_budget(keys), keys) == ranked_layouts(keys).remedies
    small = BudgetKeys(model=ModelKeys(name="gpt2"))
    assert remedies_of(training_budget(small), small) == []


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (BudgetKeys(model=ModelKeys(name="t5-base")), "`scaling budget` gives their parameters"),
        (BudgetKeys(model=LLAMA, layout=LayoutKeys(tensor=2)), "leave out layout"),
        (BudgetKeys(model=LLAMA, devices=0), "devices=0 must be positive"),
        (BudgetKeys(model=LLAMA, devices=3000, batch_tokens=1024.0), "no layout splits 32 heads"),
    ],
)
def test_what_has_no_layouts_is_refused(keys: BudgetKeys, message: str) -> None:
    with pytest.raises(UserError, match=message):
        ranked_layouts(keys)
