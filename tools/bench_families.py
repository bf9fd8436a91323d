"""What one row costs over HTTP, by algorithm: `clary serve` of a model of each, against a bare hyper echo of the same request, one
connection, slices in turn. Run it with `make bench-families`, which builds what it needs.

Models are trained by clary-train on 30 features of 5,000 rows with usual settings. The figure that counts is the ratio of the
median latencies.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
os.environ.setdefault("CLARY_PROGRAMS", str(ROOT / "target/release"))
sys.path.insert(0, str(ROOT / "tests/sdk"))

import harness  # noqa: E402
from families import RECORDS, records  # noqa: E402
import numpy as np  # noqa: E402

FEATURES, ROWS = 30, 5000
# The most that a family may cost, in medians of the echo.
RATIO_MAX = 1.5
# Algorithm: whether rows have labels, and settings.
FAMILIES = {
    "xgboost": (True, {"objective": "binary:logistic", "num_round": 100, "max_depth": 6}),
    "linear-learner": (True, {"predictor_type": "binary_classifier", "num_models": 1, "epochs": 2}),
    "kmeans": (False, {"k": 10}),
    "pca": (False, {"num_components": 10, "mini_batch_size": 500}),
    "knn": (True, {"k": 5, "predictor_type": "classifier", "sample_size": 200}),
    "factorization-machines": (True, {"predictor_type": "binary_classifier", "num_factors": 8}),
    "randomcutforest": (False, {"num_trees": 100, "num_samples_per_tree": 50}),
    "lda": (False, {"num_topics": 5, "mini_batch_size": ROWS}),
}


def train(folder, name):
    is_labelled, settings = FAMILIES[name]
    draw = np.random.default_rng(0)
    rows = draw.random((ROWS, FEATURES)).astype(np.float32)
    rows = np.floor(rows * 5).astype(np.float32) if name == "lda" else rows
    labels = (rows[:, 0] + rows[:, 1] * rows[:, 2] > 0.75).astype(np.float32) if is_labelled else None
    (folder / "train.pbr").write_bytes(records(rows, labels))
    command = [harness.program("clary-train"), name, "--train", folder / "train.pbr", "--out", folder]
    command += ["--content-type", RECORDS]
    if name != "xgboost":
        settings = {"feature_dim": FEATURES, **settings}
    for key, value in settings.items():
        command += ["--set", f"{key}={value}"]
    subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL)
    body = json.dumps({"instances": [{"features": rows[0].tolist()}]}).encode()
    kind = "application/json"
    if name == "xgboost":
        body, kind = harness.to_csv(rows[:1]).encode(), "text/csv"
    (folder / "body").write_bytes(body)
    return folder / "model.tar.gz", kind


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("families", nargs="*", default=list(FAMILIES))
    parser.add_argument("--slices", type=int, default=9)
    parser.add_argument("--duration", default="1s")
    parser.add_argument("--connections", type=int, default=1)
    arguments = parser.parse_args()
    echo = subprocess.Popen(
        [harness.PROGRAMS / "examples" / "echo"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    address = f"http://{echo.stdout.readline().strip()}/"
    print(f"{'algorithm':<24}{'echo p50 µs':>12}{'clary p50 µs':>13}{'ratio':>8}{'echo p99':>10}{'clary p99':>10}")
    missed = []
    for name in arguments.families:
        with tempfile.TemporaryDirectory(prefix="clary-bench-") as place:
            folder = pathlib.Path(place)
            archive, kind = train(folder, name)
            with harness.serve(archive) as server:
                server.ready()
                command = [harness.program("clary-loadtest"), "--quiet", "--json", folder / "report.json", "ab"]
                command += ["--closed", "--slices", arguments.slices, "--duration", arguments.duration]
                command += ["--warm-up", "200ms", "--connections", arguments.connections, "--data", folder / "body"]
                command += ["--content-type", kind, "--accept", kind, address, server.url + "/invocations"]
                subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL)
            report = json.loads((folder / "report.json").read_text())
            found = {side: report["medians"][side] for side in ("a", "b")}
            p50 = {side: found[side]["p50"] * 1e3 for side in found}
            p99 = {side: found[side]["p99"] * 1e3 for side in found}
            ratio = p50["b"] / p50["a"]
            if ratio > RATIO_MAX:
                missed.append(name)
            print(
                f"{name:<24}{p50['a']:>12.1f}{p50['b']:>13.1f}{ratio:>8.2f}{p99['a']:>10.0f}{p99['b']:>10.0f}", flush=True
            )
    echo.stdin.close()
    echo.wait()
    if missed:
        sys.exit(f"above {RATIO_MAX}: {', '.join(missed)}")


if __name__ == "__main__":
    main()
