"""Training jobs outlast the server, however it ends: each is run again, or goes on, and no process is left."""

import signal

import pytest

import harness
import hosting
import training
from training import BUCKET, FLAGS, SAVE, is_running, statuses

CHECKPOINTED = """
(checkpoints / "pids").open("a").write(f"{os.getpid()}\\n")
done = len((checkpoints / "pids").read_text().split())
say("attempt", done)
if done < %d:
    time.sleep(600)
(model / "attempts").write_text(str(done))
"""


class Restarts:
    """A server that is ended and started again over the same data."""

    def __init__(self, folder, *flags):
        self.folder, self.flags = folder, flags

    def __enter__(self):
        self.begin()
        self.trainer.s3.create_bucket(Bucket=BUCKET)
        return self

    def begin(self):
        self.server = hosting.up(self.folder / "data", *FLAGS, *self.flags)
        self.server.__enter__().ready()
        self.trainer = training.Trainer(self.server, training.program(self.folder))

    def end(self, kill):
        self.server.process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
        self.server.process.wait(timeout=harness.WAIT_S)
        self.server.__exit__()

    def pids(self, name):
        """Those that the program of a job wrote, from the mirror of its checkpoints."""
        found = self.trainer.clients.objects(BUCKET, f"{name}/checkpoints/").get(f"{name}/checkpoints/pids", b"")
        return [int(pid) for pid in found.split()]

    def wait_for_attempt(self, name, count):
        self.trainer.server.wait_until(lambda: len(self.pids(name)) >= count)

    def __exit__(self, *_):
        self.server.__exit__()


def checkpoint(name):
    return {"CheckpointConfig": {"S3Uri": f"s3://{BUCKET}/{name}/checkpoints"}}


@pytest.mark.parametrize("kill", [False, True], ids=["term", "kill"])
def test_a_job_is_run_again_when_the_server_is_started_again(tmp_path, kill):
    with Restarts(tmp_path, "--training-jobs", "1") as server:
        server.trainer.start("again", CHECKPOINTED % 2, **checkpoint("again"))
        server.wait_for_attempt("again", 1)
        server.trainer.start("next", SAVE)
        server.trainer.in_phase("next", "Pending")
        (pid,) = server.pids("again")
        assert is_running(pid)
        server.end(kill)
        if not kill:
            training.wait_gone(pid)
        server.begin()
        described = server.trainer.ended("again")
        training.wait_gone(pid)
        assert "Restarting" in statuses(described) and statuses(described).count("Training") == 2, described
        assert server.trainer.model(described) == {"attempts": b"2"}
        assert server.trainer.ended("next")["SecondaryStatus"] == "Completed"
        server.trainer.server.wait_until(lambda: list((tmp_path / "data/training").iterdir()) == [])
        (lines,) = server.trainer.logs("again").values()
        assert lines == ["attempt 1", "attempt 2"]


def test_what_is_trained_is_not_trained_again(tmp_path):
    """Killed while the model is uploaded, it goes on there."""
    with Restarts(tmp_path) as server:
        server.trainer.start("uploads", "say('trained')\n(model / 'big').write_bytes(os.urandom(64 << 20))")
        server.trainer.in_phase("uploads", "Uploading")
        server.end(kill=True)
        server.begin()
        described = server.trainer.ended("uploads")
        assert statuses(described).count("Training") == 1 and len(server.trainer.model(described)["big"]) == 64 << 20
        assert list(server.trainer.logs("uploads").values()) in ([["trained"]], [])
        assert "Uploads" not in server.trainer.s3.list_multipart_uploads(Bucket=BUCKET)


def test_a_job_is_not_run_again_for_ever(tmp_path):
    with Restarts(tmp_path) as server:
        server.trainer.start("crash", CHECKPOINTED % 9, **checkpoint("crash"))
        for attempt in (1, 2, 3):
            server.wait_for_attempt("crash", attempt)
            server.end(kill=True)
            server.begin()
        described = server.trainer.ended("crash", "Failed")
        assert described["FailureReason"].startswith("InternalServerError") and "3 times" in described["FailureReason"]
        training.wait_gone(*server.pids("crash"))


def test_a_job_that_was_stopping_is_stopped_when_the_server_is_started_again(tmp_path):
    with Restarts(tmp_path) as server:
        code = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + CHECKPOINTED % 9
        server.trainer.start("stopping", code, **checkpoint("stopping"))
        server.wait_for_attempt("stopping", 1)
        (pid,) = server.pids("stopping")
        server.trainer.stop("stopping")
        assert server.trainer.describe("stopping")["TrainingJobStatus"] == "Stopping"
        server.end(kill=True)
        server.begin()
        server.trainer.ended("stopping", "Stopped", "Stopped")
        training.wait_gone(pid)
