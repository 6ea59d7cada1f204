"""Rules of thumb say what courses say."""

from scaling.budget.rules_of_thumb import (
    A100_PER_PF_DAY,
    RULES,
    V100_PER_PF_DAY,
    device_days,
    store_bytes,
    train_bytes,
)


def test_rules_of_thumb_say_what_courses_say() -> None:
    assert store_bytes(1e9) == 4e9
    assert train_bytes(1e9) == 24e9
    assert device_days(8.64e19, V100_PER_PF_DAY) == 8
    assert device_days(8.64e19, A100_PER_PF_DAY) == 2


def test_each_rule_has_its_unit() -> None:
    said = [rule.say(params=1e9, tokens=8.64e10 / 6) for rule in RULES]
    assert said == ["4 GB", "24 GB", "8 V100-days", "2 A100-days"]
