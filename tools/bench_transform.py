"""What batch transform adds to what it is made of: `clary transform` of a CSV file of thirty columns through 100 trees of depth 6,
on all cores, beside its stages alone (the store's reading; decoding and scoring what is in memory already), and beside Python
with XGBoost itself, which reads the same file in chunks in as many processes as there are cores.

Run it with `make bench-transform`. Slices in turn, medians; every arm's rows and sum of scores are held to the others'.

Seconds are what each program says of itself, from when its model is loaded: the start is left out in every arm. Processor time is
of whole programs, the start counted in every arm.
"""

import argparse
import io
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
os.environ.setdefault("CLARY_PROGRAMS", str(ROOT / "target/release"))
sys.path.insert(0, str(ROOT / "tests/sdk"))

import harness  # noqa: E402
import numpy as np  # noqa: E402
import xgboost  # noqa: E402

COLUMNS = 30
# Rows that differ; a file repeats them. More than a branch predictor learns by heart.
ROWS = 40_000
# What Python reads at once: as large as a transform's payload.
CHUNK_BYTES = 6 << 20
CORES = len(os.sched_getaffinity(0))
ARMS = ("clary transform", "decode + predict", "store read", "Python XGBoost")


def make(folder, megabytes):
    """The model's archive and the file; gives how many rows it has and the sum of their scores."""
    draw = np.random.default_rng(0)
    rows = draw.random((ROWS, COLUMNS)).astype(np.float32)
    target = rows[:, 0] * rows[:, 1] + draw.random(ROWS)
    booster = xgboost.train({"objective": "reg:squarederror", "max_depth": 6}, xgboost.DMatrix(rows, target), 100)
    harness.archive(harness.save(booster, folder / "model"), folder / "model.tar.gz")
    booster.save_model(folder / "model.ubj")
    block = harness.to_csv(rows).encode()
    copies = -(-megabytes * 1_000_000 // len(block))
    (folder / "in").mkdir()
    with open(folder / "in" / "rows.csv", "wb") as file:
        for _ in range(copies):
            file.write(block)
    return ROWS * copies, float(booster.inplace_predict(rows).astype(np.float64).sum()) * copies


def cpu_s():
    """Processor time of all programs that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def measured(*commands):
    """Runs them side by side; gives what each printed, and their seconds of processor time."""
    before = cpu_s()
    running = [subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE) for command in commands]
    printed = [process.communicate()[0] for process in running]
    for process in running:
        if process.returncode != 0:
            raise subprocess.CalledProcessError(process.returncode, process.args)
    return printed, cpu_s() - before


def clary(folder):
    """The whole of it: file in, file out; its report says how long it took."""
    report = folder / "report.json"
    command = [harness.program("clary"), "transform", "--model", folder / "model.tar.gz"]
    command += ["--input", folder / "in", "--output", folder / "out", "--content-type", "text/csv", "--accept", "text/csv"]
    command += ["--split-type", "Line", "--assemble-with", "Line", "--max-concurrent-transforms", CORES]
    command += ["--report", report, "--progress", "none", "--overwrite"]
    _, cpu = measured(command)
    scores = np.loadtxt(folder / "out" / "rows.csv.out", dtype=np.float64)
    (folder / "out" / "rows.csv.out").unlink()
    told = json.loads(report.read_text())
    assert told["records"] == len(scores)
    return told["seconds"], cpu, len(scores), float(scores.sum())


def stage(folder, *arguments):
    """One stage alone, by the example program that is built of the transform's own parts."""
    program = harness.program("examples/transform_stages")
    (printed,), cpu = measured([program, arguments[0], folder / "in" / "rows.csv", *arguments[1:]])
    found = json.loads(printed)
    return found["seconds"], cpu, found["rows"], found["sum"]


def python_share(path, model, begin, end, out):
    """A process of the Python arm: chunks of whole lines, parsed by pandas, scored in place, written as text."""
    import pandas

    booster = xgboost.Booster()
    booster.load_model(model)
    booster.set_param({"nthread": 1})
    began, rows, total = time.perf_counter(), 0, 0.0
    with open(path, "rb") as file, open(out, "w") as answers:
        file.seek(begin)
        while file.tell() < end:
            chunk = file.read(min(CHUNK_BYTES, end - file.tell()))
            if file.tell() < end:
                chunk += file.readline()
            frame = pandas.read_csv(io.BytesIO(chunk), header=None, dtype=np.float32, engine="c")
            scores = booster.inplace_predict(frame.to_numpy())
            answers.write("\n".join(map(str, scores.tolist())) + "\n")
            rows, total = rows + len(scores), total + float(scores.astype(np.float64).sum())
    print(json.dumps({"seconds": time.perf_counter() - began, "rows": rows, "sum": total}))


def python(folder):
    """As many processes as cores, each a share of the file; the slowest says how long they took."""
    path = folder / "in" / "rows.csv"
    size = path.stat().st_size
    cuts = [0]
    with open(path, "rb") as file:
        for share in range(1, CORES):
            file.seek(size * share // CORES)
            file.readline()
            cuts.append(file.tell())
    cuts.append(size)
    arguments = lambda share: ["--share", path, folder / "model.ubj", cuts[share], cuts[share + 1], folder / f"py{share}"]
    printed, cpu = measured(*([sys.executable, __file__, *arguments(share)] for share in range(CORES)))
    found = [json.loads(said) for said in printed]
    taken = max(share["seconds"] for share in found)
    return taken, cpu, sum(share["rows"] for share in found), sum(share["sum"] for share in found)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=250)
    parser.add_argument("--slices", type=int, default=5)
    parser.add_argument("--json", type=pathlib.Path, help="where the figures are written as JSON too")
    parser.add_argument("--share", nargs=5, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.share:
        path, model, begin, end, out = arguments.share
        return python_share(path, model, int(begin), int(end), out)
    memory = pathlib.Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="clary-bench-", dir=memory if memory.is_dir() else None) as name:
        measure(arguments, pathlib.Path(name))


def measure(arguments, folder):
    rows, total = make(folder, arguments.megabytes)
    size = (folder / "in" / "rows.csv").stat().st_size
    arms = {
        "clary transform": lambda: clary(folder),
        "decode + predict": lambda: stage(folder, "predict", folder / "model", CORES),
        "store read": lambda: stage(folder, "read"),
        "Python XGBoost": lambda: python(folder),
    }
    found = {arm: [] for arm in ARMS}
    for number in range(arguments.slices):
        # Each goes first as often as the others.
        for arm in [*ARMS[number % len(ARMS) :], *ARMS[: number % len(ARMS)]]:
            taken, cpu, rows_found, sum_found = arms[arm]()
            if arm != "store read":
                assert rows_found == rows, (arm, rows_found, rows)
                np.testing.assert_allclose(sum_found, total, rtol=1e-6)
            found[arm].append((taken, cpu))
    show(arguments, size, rows, found)


def show(arguments, size, rows, found):
    medians = {arm: [statistics.median(column) for column in zip(*slices)] for arm, slices in found.items()}
    print(f"{size / 1e6:.0f} MB, {rows:,} rows of {COLUMNS} columns, {CORES} cores, {arguments.slices} slices")
    print(f"{'what':<18}{'MB/s':>9}{'rows/s':>12}{'CPU s':>8}{'MB/s, best':>12}")
    for arm, (taken, cpu) in medians.items():
        best = min(taken for taken, _ in found[arm])
        print(f"{arm:<18}{size / taken / 1e6:>9.0f}{rows / taken:>12,.0f}{cpu:>8.2f}{size / best / 1e6:>12.0f}")
    seconds = {arm: taken for arm, (taken, _) in medians.items()}
    slower = max(seconds["decode + predict"], seconds["store read"])
    of_slower, of_python = slower / seconds["clary transform"], seconds["Python XGBoost"] / seconds["clary transform"]
    print(f"of the slower stage alone: {of_slower:.1%}; of Python: {of_python:.1f} times")
    # Says more than the clock where other programs run too. Both load the model, and the stage its file.
    cpu = {arm: used for arm, (_, used) in medians.items()}
    cpu_of_stage, cpu_of_python = cpu["decode + predict"] / cpu["clary transform"], cpu["Python XGBoost"] / cpu["clary transform"]
    print(f"by processor time: {cpu_of_stage:.1%} of decode + predict; of Python: {cpu_of_python:.1f} times")
    if arguments.json:
        figures = {"bytes": size, "rows": rows, "cores": CORES, "of_slower_stage": of_slower, "times_python": of_python}
        figures |= {"cpu_of_stage": cpu_of_stage, "cpu_times_python": cpu_of_python}
        arguments.json.write_text(json.dumps({**figures, "slices": found}, indent=2))


if __name__ == "__main__":
    main()
