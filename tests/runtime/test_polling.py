import pytest

from helpers.errors import TimedOut
from helpers.runtime.polling import wait_for


def test_it_returns_what_the_probe_returns():
    answers = iter([None, 0, "ready"])
    assert wait_for(lambda: next(answers), what="it", do="wait", timeout=10, interval=0) == "ready"


def test_it_gives_up_and_says_what_was_waited_for():
    with pytest.raises(TimedOut, match=r"the door did not happen within 0\.05 s\. Knock\."):
        wait_for(lambda: None, what="the door", do="Knock", timeout=0.05, interval=0.01)


def test_an_error_in_the_probe_ends_the_wait():
    def probe():
        raise ValueError("terminal")

    with pytest.raises(ValueError, match="terminal"):
        wait_for(probe, what="it", do="", timeout=60)


def test_it_tells_how_long_it_has_waited():
    seen = []
    with pytest.raises(TimedOut):
        wait_for(lambda: None, what="it", do="x", timeout=0.05, interval=0.01, progress=seen.append)
    assert seen == sorted(seen)
    assert len(seen) > 1
