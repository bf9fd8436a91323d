"""What training costs: `clary-train` beside the reference implementation, each a process of its own over the same file, in
turn; medians of time and peak memory. Quality is checked in the bench: both must be as good.

    cargo build --release -p trainer && .venv/bin/python tools/bench_training.py xgboost --rows 100000 1000000

A family joins by a function in FAMILIES from rows to `Case`s. A reference is a piece of Python that reads `path`, sets
`seconds` (reading, training) and `quality`; ours is a command line whose log says the same.
"""

import argparse
import collections
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
PROGRAM = pathlib.Path(os.environ.get("CLARY_PROGRAMS", ROOT / "target/release")) / "clary-train"

# What is compared: a name, the file, our arguments, the reference's source, and how our log says reading and training
# seconds, and quality.
Case = collections.namedtuple("Case", "name path arguments reference seconds quality tolerance")
Run = collections.namedtuple("Run", "wall read train peak_mib quality")


# Starts the program and says how much memory it had at most. The peak of a process is never below that of the one that started
# it, so that this starts it, and not a bench that holds a million rows.
STARTER = """
import os, sys
process = os.spawnvp(os.P_NOWAIT, sys.argv[1], sys.argv[1:])
_, status, usage = os.wait4(process, 0)
print("PEAK", usage.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def timed(command):
    """Runs a command; gives wall seconds, peak MiB and what it wrote."""
    started = time.perf_counter()
    starter = [sys.executable, "-S", "-E", "-c", STARTER, *map(str, command)]
    done = subprocess.run(starter, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    wall = time.perf_counter() - started
    assert done.returncode == 0, done.stdout
    text, peak = done.stdout.rsplit("PEAK", 1)
    return wall, int(peak) / 1024, text


def ours(case, folder):
    wall, peak, text = timed([PROGRAM, *case.arguments, "--out", folder])
    read, train = map(float, re.search(case.seconds, text).groups())
    return Run(wall, read, train, peak, float(re.findall(case.quality, text)[-1]))


def theirs(case):
    source = f"path = {str(case.path)!r}\n{case.reference}\nprint('RESULT', *seconds, quality)"
    wall, peak, text = timed([sys.executable, "-c", source])
    read, train, quality = map(float, re.search(r"RESULT (\S+) (\S+) (\S+)", text).groups())
    return Run(wall, read, train, peak, quality)


def compare(case, rounds):
    """Both in turn; a line of medians each."""
    runs = {"ours": [], "reference": []}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(rounds):
            runs["ours"].append(ours(case, folder))
            runs["reference"].append(theirs(case))
    medians = {who: Run(*map(statistics.median, zip(*of, strict=True))) for who, of in runs.items()}
    for who, of in medians.items():
        spread = max(run.wall for run in runs[who]) - min(run.wall for run in runs[who])
        print(
            f"{case.name:34} {who:10} wall {of.wall:7.2f} s (spread {spread:.2f})  read {of.read:6.2f} s  "
            f"train {of.train:6.2f} s  peak {of.peak_mib:6.0f} MiB  quality {of.quality:.5f}",
            flush=True,
        )
    left, right = medians["ours"].quality, medians["reference"].quality
    assert abs(left - right) <= case.tolerance * abs(right), f"{case.name}: {left} is not as good as {right}"
    return medians["ours"].wall / medians["reference"].wall, medians["ours"].train / medians["reference"].train


XGBOOST = """
import sys, time
import numpy as np, xgboost
started = time.perf_counter()
{read}
read = time.perf_counter() - started
started = time.perf_counter()
matrix = {matrix}
settings = dict(objective="binary:logistic", tree_method="{method}", max_depth=6, eta=0.3, nthread=2)
result = {{}}
xgboost.train(settings, matrix, 100, evals=[(matrix, "train")], evals_result=result, verbose_eval=False)
seconds, quality = (read, time.perf_counter() - started), result["train"]["logloss"][-1]
"""
READ_CSV = "import pandas\ndata = pandas.read_csv(path, header=None, dtype=np.float32).to_numpy()\nx, y = data[:, 1:], data[:, 0]"
READ_NPY = "data = np.load(path)\nx, y = np.ascontiguousarray(data[:, 1:]), data[:, 0]"
READ_LIBSVM = "from sklearn.datasets import load_svmlight_file\nx, y = load_svmlight_file(path, dtype=np.float32, zero_based=True)"


def classification(rows, columns=30):
    """Labels that a few features decide, not quite."""
    import numpy as np

    random = np.random.default_rng(0)
    x = random.standard_normal((rows, columns), dtype=np.float32)
    margin = x[:, 0] + x[:, 1] * x[:, 2] + 0.5 * np.sin(3 * x[:, 3]) + 0.5 * random.standard_normal(rows)
    return np.column_stack([margin > 0, x]).astype(np.float32)


def xgboost_cases(rows, folder):
    import numpy as np

    data = classification(rows)
    csv, npy, libsvm = (folder / f"{rows}.{ending}" for ending in ("csv", "npy", "libsvm"))
    np.save(npy, data)
    with open(csv, "w") as file, open(libsvm, "w") as sparse:
        for row in data:
            cells = [f"{value:.6g}" for value in row]
            file.write(",".join(cells) + "\n")
            sparse.write(" ".join([cells[0], *(f"{i}:{cell}" for i, cell in enumerate(cells[1:]))]) + "\n")

    import xgboost

    library = pathlib.Path(xgboost.__file__).parent / "lib/libxgboost.so"
    for path, content_type, read, method in (
        (csv, "text/csv", READ_CSV, "hist"),
        (libsvm, "text/libsvm", READ_LIBSVM, "hist"),
        (npy, "text/csv", READ_NPY, "hist"),
        (csv, "text/csv", READ_CSV, "exact"),
    ):
        # By exact splits a million rows take minutes on either side.
        if method == "exact" and rows > 100_000:
            continue
        matrix = "xgboost.QuantileDMatrix(x, y)" if method == "hist" else "xgboost.DMatrix(x, y)"
        arguments = ["xgboost", "--train", csv if path == npy else path, "--content-type", content_type]
        arguments += ["--xgboost-lib", library]
        for setting in ("objective=binary:logistic", f"tree_method={method}", "num_round=100", "nthread=2"):
            arguments += ["--set", setting]
        what = "npy (ours from csv)" if path == npy else path.suffix[1:]
        yield Case(
            name=f"xgboost {method} {rows}x30 {what}",
            path=path,
            arguments=arguments,
            reference=XGBOOST.format(read=read, matrix=matrix, method=method),
            seconds=r"time: ([0-9.]+) s to read, ([0-9.]+) s to train",
            quality=r"train-logloss:([0-9.]+)",
            tolerance=1e-3,
        )


SCIKIT = """
import sys, time
import numpy as np
from sklearn.linear_model import LinearRegression, LogisticRegression, SGDRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
started = time.perf_counter()
{read}
read = time.perf_counter() - started
started = time.perf_counter()
model = {model}.fit(x, y)
seconds = read, time.perf_counter() - started
quality = {quality}
"""
LOG_LOSS = "-np.mean(np.log(np.where(y > 0.5, *model.predict_proba(x).T[::-1])))"
SQUARES = "np.mean((model.predict(x) - y) ** 2)"


def linear(rows, columns=30):
    """Features of unlike scales and means, and what a linear function of them says: a class by chance, and a value with noise."""
    import numpy as np

    random = np.random.default_rng(0)
    normal = random.standard_normal((rows, columns), dtype=np.float32)
    signal = normal @ np.linspace(-1, 1, columns, dtype=np.float32)
    x = normal * np.arange(1, columns + 1) / 10 + np.arange(columns)
    classes = random.random(rows) < 1 / (1 + np.exp(-signal))
    return x, classes, 10 + 4 * signal + 2 * random.standard_normal(rows)


def linear_cases(rows, folder):
    import numpy as np
    import pandas

    x, classes, values = linear(rows)
    binary = ("binary_classifier", classes, "binary_log_loss", LOG_LOSS)
    regressor = ("regressor", values, "mse", SQUARES)
    for (kind, y, metric, quality), model in (
        (binary, "make_pipeline(StandardScaler(), LogisticRegression())"),
        (regressor, "LinearRegression()"),
        (regressor, "make_pipeline(StandardScaler(), SGDRegressor())"),
    ):
        data = np.column_stack([y, x]).astype(np.float32)
        csv, npy = folder / f"{kind}-{rows}.csv", folder / f"{kind}-{rows}.npy"
        np.save(npy, data)
        pandas.DataFrame(data).to_csv(csv, header=False, index=False, float_format="%.6g")
        for path, read in ((csv, READ_CSV), (npy, READ_NPY)):
            arguments = ["linear-learner", "--train", csv, "--content-type", "text/csv"]
            arguments += ["--set", f"predictor_type={kind}"]
            name = model.removeprefix("make_pipeline(StandardScaler(), ").split("(")[0]
            yield Case(
                name=f"{name} {rows}x30 {path.suffix[1:]}",
                path=path,
                arguments=arguments,
                reference=SCIKIT.format(read=read, model=model, quality=quality),
                seconds=r"time: ([0-9.]+) s to read, ([0-9.]+) s to train",
                quality=rf"train_score .*'{metric}', ([0-9.]+)",
                tolerance=5e-3,
            )


FAMILIES = {"xgboost": xgboost_cases, "linear-learner": linear_cases}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("families", nargs="*", metavar="FAMILY", help=f"all of {', '.join(FAMILIES)}, unless some are named")
    parser.add_argument("--rows", nargs="+", type=int, default=[100_000, 1_000_000])
    parser.add_argument("--rounds", type=int, default=5, help="runs of each, in turn")
    arguments = parser.parse_args()
    for family in arguments.families or FAMILIES:
        for rows in arguments.rows:
            with tempfile.TemporaryDirectory() as folder:
                for case in FAMILIES[family](rows, pathlib.Path(folder)):
                    wall, train = compare(case, arguments.rounds)
                    print(f"{case.name:34} ours/reference: wall {wall:.2f}, training {train:.2f}", flush=True)


if __name__ == "__main__":
    main()
