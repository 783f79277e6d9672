import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ainerd_bluesky.callbacks.outbox import Outbox
from ainerd_bluesky.errors import OutboxError


@pytest.fixture
def outbox(tmp_path):
    return Outbox(tmp_path / "outbox")


def test_a_run_goes_through_the_states(outbox):
    assert outbox.state("a") is None
    assert outbox.put("a", {"scan_id": 3})
    assert outbox.state("a") == "new"
    job = outbox.claim()
    assert (job.run_uid, job.payload, outbox.state("a")) == ("a", {"scan_id": 3}, "cur")
    outbox.done(job, label="aging")
    assert outbox.counts() == {"new": 0, "cur": 0, "done": 1, "failed": 0}
    assert outbox.job("a").log[-1]["label"] == "aging"


@pytest.mark.parametrize("end", ["nothing", "claim", "done", "fail"])
def test_a_run_is_queued_once_in_whatever_state_it_is(outbox, end):
    outbox.put("a", {})
    if end != "nothing":
        job = outbox.claim()
    if end == "done":
        outbox.done(job)
    if end == "fail":
        outbox.fail(job, "bad")
    assert not outbox.put("a", {})
    assert sum(outbox.counts().values()) == 1


def test_the_oldest_job_comes_first(outbox):
    for uid in ("z", "m", "a"):
        outbox.put(uid, {})
    assert [outbox.claim().run_uid for _ in range(3)] == ["z", "m", "a"]
    assert outbox.claim() is None


def test_a_retry_waits_and_counts(tmp_path):
    outbox = Outbox(tmp_path, backoff=(60, 60))
    outbox.put("a", {})
    assert outbox.retry(outbox.claim(), "server away") == "new"
    assert outbox.claim() is None
    job = outbox.job("a")
    assert job.attempts == 1
    assert job.log[-1]["reason"] == "server away"


def test_a_job_that_never_works_is_failed_with_its_log(tmp_path):
    outbox = Outbox(tmp_path, backoff=(0, 0))
    outbox.put("a", {})
    states = [outbox.retry(outbox.claim(), f"try {n}") for n in range(3)]
    assert states == ["new", "new", "failed"]
    reasons = [line.get("reason") for line in outbox.job("a").log]
    assert reasons == [None, "try 0", "try 1", "try 2 (gave up after 3 tries)"]


def test_a_failed_job_can_be_put_back(outbox):
    outbox.put("a", {})
    outbox.fail(outbox.claim(), "no partition")
    assert outbox.requeue("a")
    assert outbox.claim().attempts == 0
    with pytest.raises(OutboxError, match="run a is already queued: it is in 'cur'"):
        outbox.requeue("a")
    assert not outbox.requeue("b")


@pytest.mark.parametrize("uid", ["", "../a", "a/b", ".hidden", "a@b", "a b", "x" * 300])
def test_a_uid_that_is_no_file_name_is_refused(outbox, uid):
    with pytest.raises(OutboxError, match="run uid must be"):
        outbox.put(uid, {})


@pytest.mark.parametrize(
    "content",
    [b"{", b"[]", b"{}", b"\xff\xfe", b'{"run_uid": "b", "payload": {}, "log": 3}'],
)
def test_an_unreadable_file_is_failed_with_the_reason(outbox, content):
    (outbox.folder / "new" / "bad.json").write_bytes(content)
    outbox.put("good", {})
    assert outbox.claim().run_uid == "good"
    assert outbox.claim() is None
    assert outbox.state("bad") == "failed"
    assert "unreadable job file" in outbox.job("bad").log[-1]["reason"]
    assert (outbox.folder / "failed" / "bad.unreadable").read_bytes() == content


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutboxError, match=r"cannot make outbox .*file/outbox"):
        Outbox(tmp_path / "file" / "outbox")


CLAIM_AND_DIE = """
import os, sys
from ainerd_bluesky.callbacks.outbox import Outbox
job = Outbox(sys.argv[1]).claim()
os._exit(9)
"""


def test_a_crashed_owner_gives_its_claim_back(tmp_path):
    outbox = Outbox(tmp_path, backoff=(0, 0))
    outbox.put("a", {"scan_id": 1})
    subprocess.run([sys.executable, "-c", CLAIM_AND_DIE, str(tmp_path)], check=False)
    assert outbox.state("a") == "cur"
    assert outbox.recover() == 1
    job = outbox.claim()
    assert job.payload == {"scan_id": 1}
    assert "ended before the job did" in job.log[-1]["reason"]


def lose_the_worker(outbox):
    command = [sys.executable, "-c", CLAIM_AND_DIE, str(outbox.folder)]
    subprocess.run(command, check=False)
    assert outbox.recover() == 1


def test_a_job_that_kills_its_workers_is_failed_and_can_be_put_back(tmp_path):
    outbox = Outbox(tmp_path, backoff=(0,) * 9)
    outbox.put("a", {})
    lose_the_worker(outbox)
    assert outbox.state("a") == "new"
    lose_the_worker(outbox)
    assert outbox.state("a") == "failed"
    assert outbox.job("a").log[-1]["reason"] == "the worker died 2 times on it"

    outbox.requeue("a")
    lose_the_worker(outbox)
    assert outbox.state("a") == "new"


def test_a_job_is_due_when_its_time_has_come(tmp_path):
    outbox = Outbox(tmp_path, backoff=(0.2, 0))
    assert not outbox.has_due()
    outbox.put("a", {})
    assert outbox.has_due()
    outbox.retry(outbox.claim(), "not yet")
    assert not outbox.has_due()
    time.sleep(0.25)
    assert outbox.has_due()


def test_a_living_owner_keeps_its_claim(outbox):
    outbox.put("a", {})
    outbox.claim()
    assert outbox.recover() == 0
    assert outbox.state("a") == "cur"


@pytest.mark.parametrize(("age", "n_recovered"), [(10.0, 0), (1000.0, 1)])
def test_the_claim_of_another_host_is_kept_for_its_lease(tmp_path, age, n_recovered):
    outbox = Outbox(tmp_path, lease=500.0)
    outbox.put("a", {})
    claim = outbox.folder / "cur" / outbox.claim().claim
    elsewhere = claim.with_name("a@elsewhere@1@x.json")
    claim.rename(elsewhere)
    then = elsewhere.stat().st_mtime - age
    os.utime(elsewhere, (then, then))
    assert outbox.recover() == n_recovered


def test_a_crash_between_result_and_release_does_not_repeat_the_job(outbox):
    outbox.put("a", {})
    job = outbox.claim()
    claim = outbox.folder / "cur" / job.claim
    text = claim.read_text()
    outbox.done(job)
    claim.with_name("a@elsewhere@1@x.json").write_text(text)
    os.utime(claim.with_name("a@elsewhere@1@x.json"), (0, 0))
    assert outbox.recover() == 0
    assert outbox.counts() == {"new": 0, "cur": 0, "done": 1, "failed": 0}


def test_threads_that_put_the_same_run_queue_it_once(outbox):
    barrier = threading.Barrier(8)

    def put(_):
        barrier.wait()
        return outbox.put("a", {})

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(put, range(8))) == 1


DRAIN = """
import sys
from ainerd_bluesky.callbacks.outbox import Outbox
outbox = Outbox(sys.argv[1])
while (job := outbox.claim()) is not None:
    print(job.run_uid)
    outbox.done(job)
"""


def test_processes_share_the_jobs_and_none_is_done_twice(outbox):
    uids = [f"run-{n}" for n in range(120)]
    for uid in uids:
        outbox.put(uid, {})
    command = [sys.executable, "-c", DRAIN, str(outbox.folder)]
    workers = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    done = [uid for w in workers for uid in w.communicate(timeout=60)[0].split()]
    assert sorted(done) == sorted(uids)
    assert outbox.counts()["done"] == len(uids)


def test_job_files_are_plain_json_and_nothing_is_left_in_tmp(outbox):
    outbox.put("a", {"path": Path("/data")})
    document = json.loads((outbox.folder / "new" / "a.json").read_text())
    assert document["payload"] == {"path": "/data"}
    assert list((outbox.folder / "tmp").iterdir()) == []


@pytest.mark.parametrize(("age_days", "is_kept"), [(29, True), (31, False)])
def test_jobs_done_a_month_ago_are_removed(outbox, age_days, is_kept):
    outbox.put("a", {})
    outbox.done(outbox.claim())
    then = time.time() - age_days * 24 * 3600
    os.utime(outbox.folder / "done" / "a.json", (then, then))
    outbox.recover()
    assert (outbox.state("a") == "done") is is_kept
