"""Starts the real programs and talks to them: what every test of this folder shares."""

import io
import json
import os
import pathlib
import queue
import signal
import subprocess
import tarfile
import threading
import time

import numpy as np
import requests

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAMS = pathlib.Path(os.environ.get("CLARY_PROGRAMS", ROOT / "target" / "debug"))

# The longest wait for a server to say something. Reason: a debug build under load starts in a fraction of a second.
WAIT_S = 30


def program(name):
    """The path of a program that cargo built; building it is make's task."""
    path = PROGRAMS / name
    assert path.exists(), f"{path} is not there: run `make test-sdk`, which builds it first"
    return path


class Server:
    """A running `clary`, stopped when the context ends."""

    def __init__(self, arguments, environment=None, cwd=None):
        base = {"PATH": os.environ["PATH"], "CLARY_RELOAD_INTERVAL": "50ms"}
        self.process = subprocess.Popen(
            [str(program("clary")), *map(str, arguments)],
            env={**base, **(environment or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=cwd,
        )
        self.log = []
        self._lines = queue.Queue(maxsize=10_000)
        threading.Thread(target=self._read, daemon=True).start()
        self.url = None
        self.session = requests.Session()

    def _read(self):
        for line in self.process.stdout:
            self.log.append(line)
            if not self._lines.full():
                self._lines.put(line)
        self._lines.put(None)

    def wait_for_log(self, is_wanted):
        """The first log line, from here on, that is wanted."""
        deadline = time.monotonic() + WAIT_S
        while True:
            try:
                line = self._lines.get(timeout=max(deadline - time.monotonic(), 0.001))
            except queue.Empty:
                raise AssertionError("waited in vain for a log line:\n" + "".join(self.log)) from None
            assert line is not None, "the server ended:\n" + "".join(self.log)
            if is_wanted(line):
                return line

    def wait_until(self, is_so):
        """Looks again and again, a few milliseconds apart, until it is so."""
        deadline = time.monotonic() + WAIT_S
        while not is_so():
            assert self.process.poll() is None, "the server ended:\n" + "".join(self.log)
            assert time.monotonic() < deadline, "waited in vain:\n" + "".join(self.log)
            time.sleep(0.01)

    def __enter__(self):
        line = self.wait_for_log(lambda line: '"listening"' in line)
        record = json.loads(line)
        address = record.get("address") or record["fields"]["address"]
        # A server that listens on all addresses is reached over loopback.
        self.url = "http://127.0.0.1:" + address.rsplit(":", 1)[1]
        return self

    def ready(self):
        """Waits until /ping is 200."""
        self.wait_until(lambda: self.session.get(self.url + "/ping", timeout=WAIT_S).status_code == 200)
        return self

    def stop(self):
        """SIGTERM; gives the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=WAIT_S)

    def __exit__(self, *_):
        self.session.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def invoke(self, body, content_type, accept="application/json", path="/invocations", **headers):
        """One request; gives the whole response."""
        headers = {"Content-Type": content_type, **headers}
        if accept is not None:
            headers["Accept"] = accept
        return self.session.post(self.url + path, data=body, headers=headers, timeout=WAIT_S)

    def scores(self, body, content_type):
        """The scores of a request, as an array of what JSON says."""
        answer = self.invoke(body, content_type)
        assert answer.status_code == 200, answer.text
        return np.array([row["score"] for row in answer.json()["predictions"]], dtype=np.float32)


def serve(model, environment=None, arguments=()):
    """A server of `model` on a free port; use as a context."""
    return Server(["serve", "--port", "0", "--model", model, *arguments], environment)


def loadtest(report, url, *arguments):
    """The command line that puts a load on `url` and writes what came of it to the file `report`."""
    command = [program("clary-loadtest"), "--quiet", "--json", report, "run", url, *arguments]
    return list(map(str, command))


def save(booster, folder, form="ubj"):
    """Writes a booster as SageMaker's container does: a folder with `xgboost-model`."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "xgboost-model").write_bytes(bytes(booster.save_raw(form)))
    return folder


def archive(folder, path):
    """Packs a folder as model.tar.gz."""
    path = pathlib.Path(path)
    partial = path.with_name(path.name + ".partial")
    with tarfile.open(partial, "w:gz", format=tarfile.USTAR_FORMAT) as tar:
        for member in sorted(pathlib.Path(folder).iterdir()):
            tar.add(member, member.name)
    partial.rename(path)
    return path


# The five formats, written plainly; NaN is missing.


def to_csv(rows):
    """RFC 4180, an empty cell where a value is missing."""
    text = lambda value: "" if np.isnan(value) else str(np.float32(value))
    return "".join(",".join(map(text, row)) + "\n" for row in rows)


def to_libsvm(rows):
    """Zero-based indices; a missing value has no entry. A label that does not matter leads each line."""
    entry = lambda pair: f"{pair[0]}:{np.float32(pair[1])}"
    present = lambda row: [(i, value) for i, value in enumerate(row) if not np.isnan(value)]
    return "".join("0 " + " ".join(map(entry, present(row))) + "\n" for row in rows)


def _features(row):
    return {"features": [None if np.isnan(value) else float(value) for value in row]}


def to_json(rows):
    """The layout of AWS's own algorithms."""
    return json.dumps({"instances": [_features(row) for row in rows]})


def to_json_lines(rows):
    """The same instances, one a line."""
    return "".join(json.dumps(_features(row)) + "\n" for row in rows)


def to_recordio(rows):
    """By the SageMaker SDK's own writer."""
    from sagemaker.amazon.common import write_numpy_to_dense_tensor

    buffer = io.BytesIO()
    write_numpy_to_dense_tensor(buffer, np.asarray(rows, dtype=np.float32))
    return buffer.getvalue()


FORMATS = {
    "text/csv": to_csv,
    "text/libsvm": to_libsvm,
    "application/json": to_json,
    "application/jsonlines": to_json_lines,
    "application/x-recordio-protobuf": to_recordio,
}
