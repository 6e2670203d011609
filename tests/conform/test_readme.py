"""The table in the README, against what the suite asks."""
from . import ADAPTERS, table
from .test_conform import BEHAVIOURS


def test_table():
    """An adapter is there with its column only, and no behaviour is left out."""
    adapters = table.adapters_in_readme()
    assert set(ADAPTERS) <= set(adapters)
    expected = table.markdown(BEHAVIOURS, {adapter: dict.fromkeys(BEHAVIOURS, table.PASSED) for adapter in adapters})
    assert table.in_readme().replace(f" {table.FAILED} ", f" {table.PASSED} ") == expected
