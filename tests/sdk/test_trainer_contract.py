"""`clary-train` as a training container, every algorithm alike: stopped in the middle, killed and started again, on two hosts, and
given what it must refuse. The contract's folders stand below a scratch folder; models are scored through `clary serve`."""

import json
import os
import signal
import socket
import subprocess
import time

import numpy as np
import pytest

import harness
from families import FEATURES, HELD, IS_ZERO, KNOWN, LASTING, ROWS, SETTINGS, SUPERVISED, body, records

# A training that takes longer hangs.
TRAINING_S_MAX = 120

DISTRIBUTED = [name for name in SETTINGS if name != "lda"]


class Host:
    """One host's `/opt/ml`, and its process."""

    def __init__(self, base, name, settings, data, kind, host="algo-1", hosts=("algo-1",), **environment):
        self.base, self.name = base, name
        if name != "xgboost":
            settings = {"feature_dim": FEATURES, **settings}
        self.write("input/config/hyperparameters.json", json.dumps({key: str(value) for key, value in settings.items()}))
        self.write("input/config/resourceconfig.json", json.dumps({"current_host": host, "hosts": list(hosts)}))
        distribution = "ShardedByS3Key" if name == "randomcutforest" or len(hosts) > 1 else "FullyReplicated"
        channel = {"TrainingInputMode": "File", "ContentType": kind, "S3DistributionType": distribution}
        self.write("input/config/inputdataconfig.json", json.dumps({"train": channel}))
        self.write("input/data/train/rows", data)
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": os.environ["HOME"],
            "SAGEMAKER_BASE_DIR": str(base),
            "CLARY_ALGORITHM": name,
            **{key: os.environ[key] for key in ("CLARY_NATIVE", "CLARY_XGBOOST_LIB") if key in os.environ},
            **environment,
        }

    def write(self, path, content):
        path = self.base / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    def start(self):
        return subprocess.Popen(
            [harness.program("clary-train"), "train"],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self):
        process = self.start()
        output, _ = process.communicate(timeout=TRAINING_S_MAX)
        return process.returncode, output

    def failure(self):
        path = self.base / "output/failure"
        return path.read_text() if path.exists() else ""

    def scores(self, field=0):
        """A field of the answers to the held-out rows."""
        with harness.serve(self.base / "model") as server:
            server.ready()
            request = json.dumps({"instances": [{"features": row} for row in ROWS[HELD].tolist()]}).encode()
            kind = "application/json"
            if self.name == "xgboost":
                request, kind = harness.to_csv(ROWS[HELD]).encode(), "text/csv"
            answer = server.invoke(request, kind)
            assert answer.status_code == 200, answer.text
        (rows,) = answer.json().values()
        return np.array([list(row.values())[field] for row in rows])


def trained(base, name, settings=None, **further):
    data, kind = body(name, KNOWN)
    host = Host(base, name, {**SETTINGS[name], **(settings or {})}, data, kind, **further)
    code, output = host.run()
    assert code == 0, output
    return host


def quality(host):
    """More is better, and 0 is nothing learnt: accuracy above always saying no, or the share of the variance that ten clusters
    explain."""
    if host.name == "kmeans":
        spread = ((ROWS[HELD] - ROWS[KNOWN].mean(axis=0)) ** 2).sum(axis=1).mean()
        return 1 - (host.scores(field=1) ** 2).mean() / spread
    return ((host.scores() > 0.5) == (IS_ZERO[HELD] == 1)).mean() - 0.9


def await_line(process, word, count):
    """Reads lines until `count` of them hold `word`."""
    lines = []
    for line in process.stdout:
        lines.append(line)
        count -= word in line
        if count <= 0:
            return lines
    raise AssertionError("".join(lines))


PROGRESS = {
    "xgboost": "train-logloss",
    "linear-learner": "epoch=",
    "kmeans": "#progress_metric",
    "factorization-machines": "epoch=",
}


@pytest.mark.parametrize("name", LASTING)
def test_a_termination_in_the_middle_leaves_a_model_that_serves(tmp_path, name):
    data, kind = body(name, KNOWN)
    host = Host(tmp_path, name, {**SETTINGS[name], **LASTING[name]}, data, kind)
    process = host.start()
    await_line(process, PROGRESS[name], 12)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=TRAINING_S_MAX)
    assert process.returncode == 0, output
    assert quality(host) > 0.05


@pytest.mark.parametrize("name", SETTINGS)
def test_a_killed_training_goes_on_to_a_model_as_good(tmp_path, name):
    """By kill -9 in the middle; the next run is given the checkpoints. One-pass algorithms begin again."""
    data, kind = body(name, KNOWN)
    short, long = SETTINGS[name], LASTING.get(name)
    whole = trained(tmp_path / "whole", name)
    host = Host(tmp_path / "killed", name, {**short, **(long or {})}, data, kind)
    (tmp_path / "killed/checkpoints").mkdir()
    process = host.start()
    if long:
        await_line(process, PROGRESS[name], 12)
    process.kill()
    process.communicate()
    assert not (tmp_path / "killed/model").exists() or not list((tmp_path / "killed/model").iterdir())
    kept = list((tmp_path / "killed/checkpoints").glob("*.checkpoint"))
    assert bool(kept) == bool(long), kept
    # The same job, which is stopped once it has gone on for a while.
    process = host.start()
    if long:
        before = await_line(process, PROGRESS[name], 6)
        assert any("checkpoint" in line for line in before), before
        process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=TRAINING_S_MAX)
    assert process.returncode == 0, output
    if long:
        assert quality(host) >= quality(whole) - 0.02
    else:
        np.testing.assert_array_equal(host.scores(), whole.scores())


@pytest.mark.parametrize("name", DISTRIBUTED)
def test_two_hosts_learn_what_one_learns(tmp_path, name):
    one = trained(tmp_path / "one", name)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    hosts = ("algo-1", "algo-2")
    processes = []
    for rank, host in enumerate(hosts):
        data, kind = body(name, KNOWN & (np.arange(len(ROWS)) % 2 == rank))
        folder = tmp_path / host
        made = Host(
            folder, name, SETTINGS[name], data, kind, host=host, hosts=hosts, CLARY_COLLECTIVE_ADDRESS=address
        )
        processes.append((made, made.start()))
    for _, process in processes:
        output, _ = process.communicate(timeout=TRAINING_S_MAX)
        assert process.returncode == 0, output
    first = processes[0][0]
    both = first.scores()
    second = tmp_path / "algo-2/model"
    assert not second.exists() or not list(second.iterdir()), "host 0 alone writes the model"
    match name:
        case "pca":
            np.testing.assert_allclose(np.abs(both), np.abs(one.scores()), atol=1e-5)
        case "randomcutforest":
            # Other samples of the same rows: the same order of strangeness.
            assert np.corrcoef(both, one.scores())[0, 1] > 0.9
        case "knn":
            # Every row is in the sample, whichever host had it.
            np.testing.assert_array_equal(both, one.scores())
        case _:
            assert quality(first) >= quality(one) - 0.02


BAD_ROWS = ROWS[:50].copy()
BAD_ROWS[7, 3] = np.nan


@pytest.mark.parametrize("name", SETTINGS)
def test_what_is_wrong_is_named(tmp_path, name):
    data, kind = body(name, KNOWN)
    settings = SETTINGS[name]

    def check(case, words, *, settings=settings, data=data, kind=kind, channel="train", code=2):
        base = tmp_path / case
        host = Host(base, name, settings, data, kind)
        if channel != "train":
            host.write(f"input/data/{channel}/rows", data)
        found, output = host.run()
        assert found == code, (case, output)
        failure = host.failure()
        assert failure.startswith("ClientError: ") and failure.count("ClientError") == 1, (case, failure)
        assert len(failure) <= 1024
        for word in words:
            assert word in failure, (case, word, failure)
        model = base / "model"
        assert not model.exists() or not list(model.iterdir()), case

    check("unknown", ["wibble"], settings={**settings, "wibble": 1})
    check("range", ["seed", "x"], settings={**settings, "seed": "x"})
    check("channel", ["wibble"], channel="wibble")
    check("content_type", ["image/png"], kind="image/png")
    check("empty", ["train"], data=b"")
    check("garbage", ["rows"], data=b"\x00\x01 this is nothing of the kind\n")
    if name == "xgboost":
        check("label", ["row 3"], data=b"1,2\n0,3\nx,4\n", kind="text/csv")
        check("nan_label", ["row 2", "label"], data=b"1,2\n,3\n", kind="text/csv")
        check("widths", ["row 2"], data=b"1,2,3\n1,2\n", kind="text/csv")
        check("required", ["num_round"], settings={"objective": "binary:logistic"})
        return
    labels = IS_ZERO[:50] if name in SUPERVISED else None
    check("nan", ["8", "rows"], data=records(BAD_ROWS, labels))
    check("width", ["64", "63"], data=records(ROWS[:50, :63], labels))
    # All settings of the forest have defaults.
    if name != "randomcutforest":
        required = next(iter(settings))
        check("required", [required], settings={key: value for key, value in settings.items() if key != required})
    if name in SUPERVISED:
        check("no_labels", ["label"], data=records(ROWS[:50]))
        bad = IS_ZERO[:50].copy()
        bad[4] = np.nan
        check("nan_label", ["5", "label"], data=records(ROWS[:50], bad))
        if name != "knn":
            check("labels", ["2"], data=records(ROWS[:50], np.full(50, 2, dtype=np.float32)))


def test_only_hyperparameters_and_a_train_folder_are_needed(tmp_path):
    host = Host(tmp_path, "kmeans", SETTINGS["kmeans"], *body("kmeans", KNOWN))
    for name in ("resourceconfig.json", "inputdataconfig.json"):
        (tmp_path / "input/config" / name).unlink()
    code, output = host.run()
    assert code == 0, output
    assert quality(host) > 0.3


@pytest.mark.parametrize("name", ["pca", "kmeans", "linear-learner"])
def test_pipes_are_read_an_epoch_each(tmp_path, name):
    """The same rows by pipe; epochs without bound are offered, and what is read is enough."""
    data, kind = body(name, KNOWN)
    host = Host(tmp_path, name, {**SETTINGS[name], "epochs": 2}, data, kind)
    (tmp_path / "input/data/train/rows").unlink()
    (tmp_path / "input/data/train").rmdir()
    host.write(
        "input/config/inputdataconfig.json",
        json.dumps({"train": {"TrainingInputMode": "Pipe", "ContentType": kind, "S3DistributionType": "ShardedByS3Key"}}),
    )
    process = host.start()
    epoch, deadline = 0, time.monotonic() + TRAINING_S_MAX
    while process.poll() is None:
        assert time.monotonic() < deadline
        pipe = tmp_path / f"input/data/train_{epoch}"
        if not pipe.exists():
            os.mkfifo(pipe)
        try:
            writer = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            # Nobody reads it yet.
            time.sleep(0.01)
            continue
        os.set_blocking(writer, True)
        with open(writer, "wb") as file:
            try:
                file.write(data)
            except BrokenPipeError:
                pass
        epoch += 1
    output, _ = process.communicate()
    assert process.returncode == 0, output
    assert epoch >= 1
    assert np.isfinite(host.scores()).all()
