"""`make accuracy`: every accuracy bar of every algorithm, ours beside the reference implementation, as one table.

Each module of this folder has `table()`: lines of algorithm, data, metric, ours, reference, bar and whether it passed. With
`--write` the table becomes ACCURACY.md. Ends with 1 when a bar is missed.
"""

import argparse
import importlib.util
import pathlib
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
# Last, so that `import xgboost` is the package and not the module of that name here.
sys.path = [path for path in sys.path if path != str(HERE)] + [str(ROOT / "tests/sdk"), str(HERE)]

COLUMNS = ["algorithm", "data", "metric", "ours", "reference", "bar", "passed"]
HEAD = """# Accuracy

What `make accuracy` prints: models trained by `clary-train` and scored through their artifacts, beside the reference
implementation on the same rows. The standard hold-out: row *i* is a test row when *i* mod 5 = 0. A bar in words says what is
compared; the reference is computed live where a package of the test environment has it, and is otherwise the figure that the
named package gave.

"""


def modules():
    names = sorted(path.stem for path in HERE.glob("*.py"))
    return [name for name in names if not name.startswith("_")]


def load(name):
    spec = importlib.util.spec_from_file_location(f"accuracy_of_{name}", HERE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def shown(value):
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "NO"
    if isinstance(value, float):
        return f"{value:.5g}"
    return str(value).replace("|", "\\|")


def markdown(lines):
    rows = [[shown(line[column]) for column in COLUMNS] for line in lines]
    widths = [max(map(len, column)) for column in zip(COLUMNS, *rows, strict=True)]
    table = [COLUMNS, ["-" * width for width in widths], *rows]
    cells = (" | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in table)
    return "\n".join(f"| {row} |" for row in cells)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("algorithms", nargs="*", metavar="ALGORITHM", help="all, unless some are named")
    parser.add_argument("--write", action="store_true", help="write ACCURACY.md")
    arguments = parser.parse_args()
    lines = []
    for name in arguments.algorithms or modules():
        started = time.monotonic()
        lines += load(name).table()
        print(f"{name}: {time.monotonic() - started:.1f} s", file=sys.stderr, flush=True)
    print(markdown(lines))
    if arguments.write:
        (ROOT / "ACCURACY.md").write_text(HEAD + markdown(lines) + "\n")
    judged = [line["passed"] for line in lines if line["passed"] is not None]
    print(f"\n{sum(judged)} of {len(judged)} bars are met")
    sys.exit(0 if all(judged) else 1)


if __name__ == "__main__":
    main()
