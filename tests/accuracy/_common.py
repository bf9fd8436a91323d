"""What the modules of this folder share: a training by `clary-train`, answers by `clary transform`, and a line of the table."""

import subprocess

import harness


def run(command):
    """Runs a program to its end; gives what it printed."""
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


def train(algorithm, folder, content_type, channels, settings, *flags):
    """Trains on `channels` (name -> file); gives the archive, in `folder`, and what was printed."""
    command = [harness.program("clary-train"), algorithm, "--content-type", content_type, "--out", folder, *flags]
    for name, path in channels.items():
        command += [f"--{name}", path]
    for name, value in settings.items():
        command += ["--set", f"{name}={value}"]
    printed = run(command)
    return folder / "model.tar.gz", printed


def answers(archive, source, content_type="text/csv", accept="text/csv"):
    """The lines that the artifact answers to the lines of `source`."""
    folder = source.parent / "answers"
    command = [harness.program("clary"), "transform", "--model", archive, "--input", source, "--output", folder]
    command += ["--content-type", content_type, "--accept", accept, "--split-type", "Line", "--assemble-with", "Line"]
    run(command)
    path = folder / f"{source.name}.out"
    lines = path.read_text().splitlines()
    path.unlink()
    return lines


def member(archive, name, folder):
    """One file of the archive, taken out into `folder`."""
    with harness.tarfile.open(archive) as opened:
        opened.extract(name, folder, filter="data")
    return folder / name


def line(algorithm, data, metric, ours, reference, bar, passed=None):
    """Without a bar it is shown and not judged."""
    return {
        "algorithm": algorithm,
        "data": data,
        "metric": metric,
        "ours": float(ours),
        "reference": reference if isinstance(reference, str) else float(reference),
        "bar": bar or "none",
        "passed": None if bar is None else bool(passed),
    }
