import pytest

from trtdream.registry import registrar


def test_a_name_is_taken_once() -> None:
    table: dict[str, int] = {}
    registered = registrar(table, "numbers")
    assert registered("one")(1) == 1
    with pytest.raises(RuntimeError, match="two numbers are called one"):
        registered("one")(2)
    assert table == {"one": 1}
