"""Partial work of a node: in the bucket while it grows, and back for the next attempt."""

from __future__ import annotations

import time

from helpers.pipelines.pod.store import Partial

PREFIX = "version/run/partial/guidellm_sweep-1"


def names(bucket):
    return {key.removeprefix(f"{PREFIX}/"): bucket.get(key) for key in bucket.keys()}  # noqa: SIM118, not a dict


def test_it_is_copied_as_it_grows_and_comes_back(store, s3_bucket, tmp_path):
    first = Partial(store, PREFIX, tmp_path / "first")
    with first.copied(every=0.05):
        (tmp_path / "first" / "deep").mkdir(parents=True)
        answers = tmp_path / "first" / "deep" / "answers.jsonl"
        answers.write_text("1\n")
        while "deep/answers.jsonl" not in names(s3_bucket):
            time.sleep(0.02)
        answers.write_text("1\n2\n")
        while names(s3_bucket)["deep/answers.jsonl"] != b"1\n2\n":
            time.sleep(0.02)
    second = Partial(store, PREFIX, tmp_path / "second")
    second.bring_back()
    assert (tmp_path / "second" / "deep" / "answers.jsonl").read_text() == "1\n2\n"


def test_the_last_copy_is_made_when_the_stage_fails(store, s3_bucket, tmp_path):
    partial = Partial(store, PREFIX, tmp_path)
    try:
        with partial.copied():
            (tmp_path / "strategies.json").write_text("[]")
            raise RuntimeError("the stage failed")
    except RuntimeError:
        pass
    assert names(s3_bucket) == {"strategies.json": b"[]"}


def test_only_what_changed_is_sent_and_what_is_gone_is_removed(store, s3_bucket, tmp_path):
    partial = Partial(store, PREFIX, tmp_path)
    for name in ("kept", "gone", ".being-written"):
        (tmp_path / name).write_text(name)
    partial.copy()
    assert set(names(s3_bucket)) == {"kept", "gone"}
    s3_bucket.put(f"{PREFIX}/kept", b"as it was sent")
    (tmp_path / "gone").unlink()
    partial.copy()
    assert names(s3_bucket) == {"kept": b"as it was sent"}


def test_a_node_without_an_earlier_attempt_finds_nothing(store, tmp_path):
    Partial(store, PREFIX, tmp_path / "partial").bring_back()
    assert not (tmp_path / "partial").exists()


def test_a_copy_that_fails_does_not_end_the_stage(store, tmp_path, capsys):
    store.bucket = "not-there"
    (tmp_path / "answers.jsonl").write_text("1\n")
    with Partial(store, PREFIX, tmp_path).copied():
        pass
    assert "NoSuchBucket" in capsys.readouterr().out
