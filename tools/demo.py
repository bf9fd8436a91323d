"""The whole story on real data: train, serve, score in five formats, replace the model under load.

Run it with `make demo`, which builds the programs and sets up XGBoost first. It uses a folder of its own, free ports of
loopback, and leaves nothing running.
"""

import json
import logging
import os
import pathlib
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
os.environ.setdefault("CLARY_PROGRAMS", str(ROOT / "target/release"))
# The SDK, which writes the records, has news of its own to tell.
os.environ.setdefault("SAGEMAKER_SUPPRESS_V2_WARNING", "1")
logging.disable(logging.WARNING)
sys.path.insert(0, str(ROOT / "tests/sdk"))

import harness  # noqa: E402
import numpy as np  # noqa: E402
from sklearn.datasets import load_breast_cancer  # noqa: E402

# Gentle enough for a laptop that does other things as well.
REQUESTS_PER_SECOND = 1000
LOAD_S = 8


def say(text=""):
    print(text, flush=True)


def step(number, title):
    say()
    say(f"\033[1m{number}. {title}\033[0m")


def train(folder, out, settings):
    """Runs clary-train; gives its last metric line."""
    command = [harness.program("clary-train"), "xgboost", "--train", folder / "train.csv"]
    command += ["--validation", folder / "holdout.csv", "--content-type", "text/csv", "--out", out]
    for name, value in settings.items():
        command += ["--set", f"{name}={value}"]
    shown = " ".join(str(word).replace(str(folder), ".").replace(str(ROOT) + "/", "") for word in command)
    say(f"   $ {shown}")
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"clary-train failed:\n{done.stdout}{done.stderr}")
    return [line for line in done.stdout.splitlines() if line.startswith("[")][-1].replace("\t", "  ")


def data(folder):
    """The Wisconsin breast-cancer data (scikit-learn ships it): every fifth row is held out."""
    rows, labels = load_breast_cancer(return_X_y=True)
    rows = rows.astype(np.float32)
    held = np.arange(len(rows)) % 5 == 0
    for name, part in (("train.csv", ~held), ("holdout.csv", held)):
        (folder / name).write_text(harness.to_csv(np.column_stack([labels[part], rows[part]])))
    say(f"   {len(rows)} tumours, {rows.shape[1]} measurements each; {held.sum()} rows are held out")
    return rows[held], labels[held]


def score_in_five_formats(server, rows, labels):
    """Shows that a row's score is the same bits in every format, and how often it is right."""
    found = {name: server.scores(write(rows), name) for name, write in harness.FORMATS.items()}
    first = found["text/csv"]
    say(f"   {'request format':<36}{'score of row 1':>16}{'accuracy':>11}   bits")
    for name, scores in found.items():
        accuracy = ((scores > 0.5) == labels).mean()
        equal = "the same" if scores.tobytes() == first.tobytes() else "DIFFERENT"
        say(f"   {name:<36}{str(scores[0]):>16}{accuracy:>10.1%}   {equal}")
    if any(scores.tobytes() != first.tobytes() for scores in found.values()):
        sys.exit("the formats disagree")


def digest(server, body):
    return server.invoke(body, "text/csv").headers["X-Clary-Artifact"]


def replace_under_load(server, folder, serving, rows):
    """Loads the server and replaces the model half-way; gives both digests and the report."""
    body = harness.to_csv(rows[:1])
    (folder / "row.csv").write_text(body)
    report = folder / "report.json"
    command = [harness.program("clary-loadtest"), "--quiet", "--json", report, "run", server.url + "/invocations"]
    command += ["--rate", REQUESTS_PER_SECOND, "--poisson", "--duration", f"{LOAD_S}s", "--connections", 8]
    command += ["--data", folder / "row.csv", "--content-type", "text/csv"]
    say(f"   {REQUESTS_PER_SECOND:,} requests a second for {LOAD_S} s, one row each, at random moments")
    before = digest(server, body)
    load = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    time.sleep(LOAD_S / 2)
    say("   half-way: the new model.tar.gz is renamed over the old one")
    os.replace(folder / "second/model.tar.gz", serving)
    server.wait_until(lambda: digest(server, body) != before)
    after = digest(server, body)
    output, _ = load.communicate(timeout=LOAD_S + harness.WAIT_S)
    if load.returncode != 0:
        sys.exit(f"clary-loadtest failed:\n{output}")
    return before, after, json.loads(report.read_text())


def summarise(before, after, report):
    """Says what happened, and fails when a request did."""
    answers, latency = report["headers"]["x-clary-artifact"], report["latency_ms"]
    rate = f"{report['rate_achieved']:,.0f} requests a second"
    say(f"   {report['answers']:,} answers, {report['errors']} failures, {rate}")
    say(f"   from the intended start of each: p50 {latency['p50']:.2f} ms, p99 {latency['p99']:.2f} ms")
    for name, value in (("old", before), ("new", after)):
        say(f"   {answers.get(value, 0):>8,} answers by the {name} model, {value[:16]}…")
    if report["errors"] or set(answers) != {before, after}:
        sys.exit(f"a request failed, or was answered by neither model: {report}")
    say("   Every request was answered, each by exactly one of the two models.")


def main():
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="clary-demo-") as name:
        folder = pathlib.Path(name)
        step(1, "Real data")
        rows, labels = data(folder)

        step(2, "Train: the real XGBoost, through clary-train")
        settings = {"objective": "binary:logistic", "num_round": 50, "max_depth": 4, "eta": 0.2}
        say(f"   last round: {train(folder, folder / 'out', settings)}")
        serving = folder / "out/model.tar.gz"
        say(f"   out/model.tar.gz: {serving.stat().st_size:,} bytes")

        step(3, "Serve it, and score the held-out rows in five formats")
        launched = time.monotonic()
        with harness.serve(serving, {"CLARY_SCRATCH": str(folder)}) as server:
            server.ready()
            say(f"   $ clary serve --model out/model.tar.gz     (healthy after {time.monotonic() - launched:.3f} s)")
            score_in_five_formats(server, rows, labels)

            step(4, "Replace the model under load")
            say(f"   last round: {train(folder, folder / 'second', {**settings, 'max_depth': 2, 'num_round': 80})}")
            before, after, report = replace_under_load(server, folder, serving, rows)
            summarise(before, after, report)

            step(5, "Stop")
            code = server.stop()
            say(f"   SIGTERM: requests in flight were finished, exit code {code}")
            if code != 0:
                sys.exit("the server did not end with 0")
    say()
    say(f"All of it took {time.monotonic() - started:.0f} s.")


if __name__ == "__main__":
    main()
