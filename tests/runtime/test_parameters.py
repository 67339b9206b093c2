import pytest
from pydantic import Field

from helpers.errors import InvalidParameter
from helpers.runtime import parameters


class Settings(parameters.Settings):
    rate: float = Field(default=1, gt=0)
    name: str = ""


def test_a_value_out_of_bounds_names_the_parameter():
    with pytest.raises(InvalidParameter, match=r"Parameter RATE is -1: Input should be greater than 0"):
        Settings(rate=-1)
    with pytest.raises(InvalidParameter, match=r"RATE.*NAME.*COLOUR"):
        Settings(rate=-1, name=7, colour="red")


@pytest.mark.parametrize("value", ["a;b", "$(reboot)", "`id`", "it's", 'a"b', "a|b", "a\nb", "a>b", "a\\b", "a*b"])
def test_what_a_shell_would_read_is_refused(value):
    with pytest.raises(InvalidParameter, match="name holds the character"):
        Settings(name=value)


def test_all_values_that_a_shell_would_read_are_named_at_once():
    class Two(Settings):
        first: str
        second: str

    with pytest.raises(InvalidParameter) as refused:
        Two(first="a;b", second="$(id)")
    assert "first" in refused.value.what
    assert "second" in refused.value.what


@pytest.mark.parametrize(
    "value", ["s3://bucket/a-b_c.d", "http://127.0.0.1:8085/x?y=1&z=2", "1,2,4", "sample://ops-small"]
)
def test_addresses_and_lists_pass(value):
    assert Settings(name=value).name == value


def test_an_unknown_parameter_is_refused():
    with pytest.raises(InvalidParameter, match="RTAE"):
        Settings(rtae=1)


def test_numbers_are_read_or_refused_with_the_name():
    assert parameters.numbers("1, 2.5,", "STREAMS") == (1.0, 2.5)
    with pytest.raises(InvalidParameter, match="STREAMS"):
        parameters.numbers("1,two", "STREAMS")
