"""What hosting costs: `/invocations` of `clary serve` against `/endpoints/…/invocations` of `clary up`, open and with every
request signed and verified; one CSV row, 100 trees of depth 6, slices in turn, load generator on the same machine.

Run it with `make bench-hosting`. Requests are signed beforehand, each once: a signature is served once.
"""

import argparse
import datetime
import hashlib
import hmac
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import uuid

ROOT = pathlib.Path(__file__).resolve().parents[1]
os.environ.setdefault("CLARY_PROGRAMS", str(ROOT / "target/release"))
sys.path.insert(0, str(ROOT / "tests/sdk"))

import harness  # noqa: E402
import hosting  # noqa: E402
import numpy as np  # noqa: E402
import xgboost  # noqa: E402

KEY, SECRET = "AKIABENCH", "a long enough secret of the bench"
PATH = "/endpoints/bench/invocations"
SLICE_S = 1.5
WARM_UP_S = 0.2
# More than a slice can send.
REQUESTS_A_SLICE = 90_000
TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


def signed_lines(body, port, count, file):
    """The headers of `count` requests, each with a signature of its own."""
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    scope = f"{now[:8]}/us-east-1/sagemaker/aws4_request"
    key = f"AWS4{SECRET}".encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    body_hash = hashlib.sha256(body).hexdigest()
    names, run = "accept;amz-sdk-invocation-id;content-type;host;x-amz-date", uuid.uuid4().hex[:8]
    with open(file, "w") as lines:
        for number in range(count):
            call = f"{run}-0000-0000-0000-{number:012d}"
            canonical = (
                f"POST\n{PATH}\n\naccept:text/csv\namz-sdk-invocation-id:{call}\ncontent-type:text/csv\n"
                f"host:127.0.0.1:{port}\nx-amz-date:{now}\n\n{names}\n{body_hash}"
            )
            text = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
            signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
            lines.write(
                f"Authorization: AWS4-HMAC-SHA256 Credential={KEY}/{scope}, SignedHeaders={names}, "
                f"Signature={signature}\tX-Amz-Date: {now}\tamz-sdk-invocation-id: {call}\n"
            )


def cpu_s(server):
    """Seconds of processor time that a server has used."""
    fields = pathlib.Path(f"/proc/{server.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_A_SECOND


def slice_of(server, url, connections, folder, lines=None):
    """One slice: requests a second, median latency (µs), processor time a request (µs)."""
    report = folder / "report.json"
    arguments = ["--closed", "--duration", f"{SLICE_S}s", "--warm-up", f"{WARM_UP_S}s", "--connections", connections]
    arguments += ["--content-type", "text/csv", "--accept", "text/csv", "--data", folder / "row.csv"]
    if lines:
        arguments += ["--header-lines", lines]
    before = cpu_s(server)
    subprocess.run(harness.loadtest(report, url, *arguments), check=True, stdout=subprocess.DEVNULL)
    used_s = cpu_s(server) - before
    found = json.loads(report.read_text())
    assert found["errors"] == 0, found
    # The warm-up's requests used it too.
    requests = found["answers"] * (SLICE_S + WARM_UP_S) / SLICE_S
    return found["rate_achieved"], found["latency_ms"]["p50"] * 1e3, used_s / requests * 1e6


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slices", type=int, default=7)
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 16, 64])
    arguments = parser.parse_args()
    draw = np.random.default_rng(0)
    rows = draw.random((2000, 30)).astype(np.float32)
    target = rows[:, 0] * rows[:, 1] + draw.random(2000)
    booster = xgboost.train({"objective": "reg:squarederror", "max_depth": 6}, xgboost.DMatrix(rows, target), 100)
    with tempfile.TemporaryDirectory(prefix="clary-bench-") as name:
        folder = pathlib.Path(name)
        body = harness.to_csv(rows[:1]).encode()
        (folder / "row.csv").write_bytes(body)
        allow = {"actions": ["*"], "endpoints": ["*"], "buckets": ["*"]}
        key = {"access_key_id": KEY, "secret_access_key": SECRET, "allow": allow}
        (folder / "credentials.json").write_text(json.dumps({"keys": [key]}))
        os.chmod(folder / "credentials.json", 0o600)
        archive = harness.archive(harness.save(booster, folder / "model"), folder / "model.tar.gz")
        closed = hosting.up(folder / "closed", "--credentials", folder / "credentials.json")
        with harness.serve(archive) as serve, hosting.up(folder / "open") as open_up, closed:
            serve.ready()
            for server, keys in ((open_up, {}), (closed, {"aws_access_key_id": KEY, "aws_secret_access_key": SECRET})):
                clients = hosting.Clients(server.ready(), **keys)
                clients.deploy("bench", clients.upload(booster))
            measure(arguments, folder, body, serve, open_up, closed)


def measure(arguments, folder, body, serve, open_up, closed):
    port, lines = closed.url.rsplit(":", 1)[1], folder / "lines"
    print(f"{'connections':<13}{'what':<12}{'requests/s':>12}{'of serve':>10}{'p50 µs':>9}{'CPU µs':>9}{'of serve':>10}")
    for connections in arguments.connections:
        found = {"serve": [], "up": [], "up, signed": []}
        for number in range(arguments.slices):
            signed_lines(body, port, REQUESTS_A_SLICE, lines)
            slices = {
                "serve": lambda: slice_of(serve, serve.url + "/invocations", connections, folder),
                "up": lambda: slice_of(open_up, open_up.url + PATH, connections, folder),
                "up, signed": lambda: slice_of(closed, closed.url + PATH, connections, folder, lines),
            }
            # Each goes first as often as the others.
            order = list(slices)[number % 3 :] + list(slices)[: number % 3]
            for what in order:
                found[what].append(slices[what]())
        medians = {what: [statistics.median(column) for column in zip(*slices)] for what, slices in found.items()}
        for what, (rate, latency_us, used_us) in medians.items():
            of_rate, of_used = rate / medians["serve"][0], used_us / medians["serve"][2]
            print(f"{connections:<13}{what:<12}{rate:>12,.0f}{of_rate:>10.3f}{latency_us:>9.1f}{used_us:>9.2f}{of_used:>10.3f}", flush=True)


if __name__ == "__main__":
    main()
