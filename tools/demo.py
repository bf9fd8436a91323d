"""The whole story on real data: train two models, start the platform, deploy them behind one endpoint with boto3, look at the
split and the latency of each, shift traffic by a canary deployment while requests run, score the held-out rows by a batch
transform, and train two more models by the SageMaker SDK's estimators.

Run it with `make demo`, which builds the programs and sets up XGBoost first. It uses a folder of its own, free ports of
loopback, and leaves nothing running.
"""

import collections
import datetime
import json
import os
import pathlib
import shlex
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
os.environ.setdefault("CLARY_PROGRAMS", str(ROOT / "target/release"))
# The SDK, which writes the records of one of the formats, has news of its own to tell.
os.environ.setdefault("SAGEMAKER_SUPPRESS_V2_WARNING", "1")
sys.path.insert(0, str(ROOT / "tests/sdk"))

import logging  # noqa: E402

logging.disable(logging.WARNING)

import harness  # noqa: E402
import hosting  # noqa: E402
import numpy as np  # noqa: E402
from sklearn.datasets import load_breast_cancer  # noqa: E402

# Gentle enough for a laptop that does other things as well.
REQUESTS_PER_SECOND = 500
# How long the canary is watched before the rest follows.
BAKING_S = 3
CALLS = 1000
ENDPOINT = "tumours"
NEWLINE = b"\n"
VARIANTS = {
    "Shallow": {"objective": "binary:logistic", "num_round": 20, "max_depth": 2, "eta": 0.3},
    "Deep": {"objective": "binary:logistic", "num_round": 200, "max_depth": 6, "eta": 0.1},
}


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


def deploy(clients, folder):
    """Models, a configuration of 90 to 10, and the endpoint: the calls that any SageMaker user makes."""
    clients.s3.create_bucket(Bucket=hosting.BUCKET)
    for name in VARIANTS:
        key = f"{name.lower()}/model.tar.gz"
        clients.s3.upload_file(str(folder / name / "model.tar.gz"), hosting.BUCKET, key)
        clients.create_model(name.lower(), f"s3://{hosting.BUCKET}/{key}")
        say(f"   s3://{hosting.BUCKET}/{key}: uploaded, and model {name.lower()!r} created")
    clients.create_config("ninety-ten", {"Shallow": ("shallow", 90), "Deep": ("deep", 10)})
    started = time.monotonic()
    clients.create_endpoint(ENDPOINT, "ninety-ten")
    say(f"   endpoint {ENDPOINT!r} is InService after {time.monotonic() - started:.2f} s")


def score_in_five_formats(clients, rows, labels):
    """Shows that a row's score is the same bits in every format, and how often it is right."""
    found = {}
    for name, write in harness.FORMATS.items():
        answer = clients.runtime.invoke_endpoint(
            EndpointName=ENDPOINT,
            Body=write(rows),
            ContentType=name,
            Accept="application/json",
            TargetVariant="Deep",
        )
        predictions = json.loads(answer["Body"].read())["predictions"]
        found[name] = np.array([row["score"] for row in predictions], dtype=np.float32)
    first = found["text/csv"]
    say(f"   {'request format':<36}{'score of row 1':>16}{'accuracy':>11}   bits")
    for name, scores in found.items():
        accuracy = ((scores > 0.5) == labels).mean()
        equal = "the same" if scores.tobytes() == first.tobytes() else "DIFFERENT"
        say(f"   {name:<36}{str(scores[0]):>16}{accuracy:>10.1%}   {equal}")
    if any(scores.tobytes() != first.tobytes() for scores in found.values()):
        sys.exit("the formats disagree")


def invoke(clients, rows, labels):
    """A thousand calls of one row; who answered, how right and how fast."""
    taken, right = collections.defaultdict(list), collections.Counter()
    bodies = [harness.to_csv(row[None]) for row in rows]
    for call in range(CALLS):
        began = time.perf_counter()
        index = call % len(rows)
        answer = clients.runtime.invoke_endpoint(
            EndpointName=ENDPOINT, Body=bodies[index], ContentType="text/csv", Accept="text/csv"
        )
        score = float(answer["Body"].read())
        variant = answer["InvokedProductionVariant"]
        taken[variant].append(time.perf_counter() - began)
        right[variant] += (score > 0.5) == labels[index]
    return taken, right


def latencies(clients, name, calls):
    """What CloudWatch says of a variant: the mean microseconds of the model and of everything else. Ten seconds are one
    point, so it may take as long until all calls are there."""
    watch = hosting.client(clients.server, "cloudwatch")

    def point(metric):
        now = datetime.datetime.now(datetime.timezone.utc)
        points = watch.get_metric_statistics(
            Namespace="AWS/SageMaker",
            MetricName=metric,
            Dimensions=[{"Name": "EndpointName", "Value": ENDPOINT}, {"Name": "VariantName", "Value": name}],
            StartTime=now - datetime.timedelta(hours=1),
            EndTime=now + datetime.timedelta(hours=1),
            Period=60,
            Statistics=["Sum", "SampleCount"],
        )["Datapoints"]
        return sum(point["Sum"] for point in points), sum(point["SampleCount"] for point in points)

    clients.server.wait_until(lambda: point("ModelLatency")[1] >= calls)
    return [total / max(count, 1) for total, count in map(point, ("ModelLatency", "OverheadLatency"))]


def show_split(clients, rows, labels):
    taken, right = invoke(clients, rows, labels)
    say(f"   {'variant':<10}{'weight':>8}{'calls':>8}{'accuracy':>11}{'model':>12}{'overhead':>12}{'seen by boto3':>16}")
    for name, weight in (("Shallow", 90), ("Deep", 10)):
        calls = taken[name]
        model, overhead = latencies(clients, name, len(calls))
        median = np.median(calls) * 1e3 if calls else float("nan")
        say(
            f"   {name:<10}{weight:>8}{len(calls):>8}{right[name] / max(len(calls), 1):>10.1%}"
            f"{model:>9.1f} µs{overhead:>9.1f} µs{median:>13.2f} ms"
        )


def load(server, folder, seconds):
    """Starts an open-loop load on the endpoint."""
    report = folder / "report.json"
    arguments = ["--rate", REQUESTS_PER_SECOND, "--poisson", "--duration", f"{seconds}s", "--connections", 8]
    arguments += ["--content-type", "text/csv", "--data", folder / "row.csv"]
    command = harness.loadtest(report, f"{server.url}/endpoints/{ENDPOINT}/invocations", *arguments)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return process, report


def shift(clients, folder):
    """To 50 to 50 by a canary deployment, under load."""
    # Of four instances each, so that a canary can be a part of them.
    clients.create_config("fifty-fifty", {name: hosting.variant(name.lower(), 50, 4) for name in VARIANTS})
    seconds = 2 * BAKING_S + 6
    process, report = load(clients.server, folder, seconds)
    say(f"   {REQUESTS_PER_SECOND} requests a second for {seconds} s, one row each, at random moments")
    time.sleep(2)
    clients.sagemaker.update_endpoint(
        EndpointName=ENDPOINT,
        EndpointConfigName="fifty-fifty",
        DeploymentConfig={
            "BlueGreenUpdatePolicy": {
                "TrafficRoutingConfiguration": {
                    "Type": "CANARY",
                    "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 25},
                    "WaitIntervalInSeconds": BAKING_S,
                },
                "MaximumExecutionTimeoutInSeconds": 600,
            }
        },
    )
    began, shown = time.monotonic(), None
    while True:
        endpoint = clients.sagemaker.describe_endpoint(EndpointName=ENDPOINT)
        status = endpoint["EndpointStatus"]
        variants = endpoint.get("PendingDeploymentSummary", endpoint).get("ProductionVariants", [])
        steps = sorted({step["Status"] for variant in variants for step in variant.get("VariantStatus", [])})
        if (status, steps) != shown:
            say(f"   after {time.monotonic() - began:4.1f} s: {status} {', '.join(steps)}")
            shown = (status, steps)
        if status != "Updating":
            break
        time.sleep(0.05)
    if status != "InService" or endpoint["EndpointConfigName"] != "fifty-fifty":
        sys.exit(f"the deployment failed: {endpoint}")
    output, _ = process.communicate(timeout=seconds + harness.WAIT_S)
    if process.returncode != 0:
        sys.exit(f"clary-loadtest failed:\n{output}")
    return json.loads(report.read_text())


def summarise(report):
    """Says what happened, and fails when a request did."""
    answers, latency = report["headers"]["x-amzn-invoked-production-variant"], report["latency_ms"]
    say(f"   {report['answers']:,} answers, {report['errors']} failures")
    say(f"   from the intended start of each: p50 {latency['p50']:.2f} ms, p99 {latency['p99']:.2f} ms")
    say("   by variant: " + ", ".join(f"{name} {answers[name]:,}" for name in VARIANTS if name in answers))
    if report["errors"] or set(answers) - set(VARIANTS):
        sys.exit(f"a request failed: {report}")
    say("   Every request was answered.")


def transform(clients, folder):
    """The held-out rows as files of a bucket, label first; the model sees the rest, and its answer is joined to the whole line."""
    bucket, job = "tumours", "held-out"
    lines = (folder / "holdout.csv").read_text().splitlines(keepends=True)
    parts = {f"held-out/part-{part}.csv": lines[part::3] for part in range(3)}
    clients.s3.create_bucket(Bucket=bucket)
    for key, part in parts.items():
        clients.s3.put_object(Bucket=bucket, Key=key, Body="".join(part))
    members = {"ContentType": "text/csv", "Accept": "text/csv", "SplitType": "Line", "AssembleWith": "Line"}
    members |= {"InputFilter": "$[1:]", "JoinSource": "Input"}
    source, output = f"s3://{bucket}/held-out/", f"s3://{bucket}/scored"
    say("   " + " ".join(f"{name}={value}" for name, value in members.items()))
    described = clients.transform(job, "deep", source, output, **members)
    took = (described["TransformEndTime"] - described["TransformStartTime"]).total_seconds()
    say(f"   {source} -> {output}: {described['TransformJobStatus']} after {took:.2f} s")
    found = clients.objects(bucket, "scored/")
    for key, body in found.items():
        say(f"   s3://{bucket}/{key}: {body.count(NEWLINE)} lines")
    compare(clients, parts, found)
    by_command(folder, parts, found)


def compare(clients, parts, found):
    """Each line against what the endpoint answers to it now, and its score against its label."""
    equal = right = count = 0
    for key, part in parts.items():
        rows = "".join(line.split(",", 1)[1] for line in part)
        answer = clients.runtime.invoke_endpoint(
            EndpointName=ENDPOINT, Body=rows, ContentType="text/csv", Accept="text/csv", TargetVariant="Deep"
        )
        online = answer["Body"].read().decode().splitlines()
        joined = found[key.replace("held-out/", "scored/") + ".out"].decode().splitlines()
        for line, score, written in zip(part, online, joined, strict=True):
            equal += written == f"{line.rstrip()},{score}"
            right += (float(written.rsplit(",", 1)[1]) > 0.5) == (float(written.split(",", 1)[0]) == 1)
            count += 1
    say(f"   {equal} of {count} lines are the input and the endpoint's own answer to it, to the byte; accuracy {right / count:.1%}")
    if equal != count:
        sys.exit("the transform and the endpoint disagree")


def by_command(folder, parts, found):
    """The same without a server, from a folder to a folder."""
    for key, part in parts.items():
        (folder / "held-out").mkdir(exist_ok=True)
        (folder / key).write_text("".join(part))
    command = [harness.program("clary"), "transform", "--model", folder / "Deep" / "model.tar.gz"]
    command += ["--input", folder / "held-out", "--output", folder / "scored", "--content-type", "text/csv", "--accept", "text/csv"]
    command += ["--split-type", "Line", "--assemble-with", "Line", "--input-filter", "$[1:]", "--join-source", "Input"]
    say("   $ " + shlex.join(map(str, command)).replace(str(folder), ".").replace(str(ROOT) + "/", ""))
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"clary transform failed:\n{done.stderr}")
    equal = sum((folder / key).read_bytes() == body for key, body in found.items())
    say(f"   {equal} of {len(found)} files are the job's outputs, to the byte")
    if equal != len(found):
        sys.exit("the command and the job disagree")


def train_by_sdk(server, folder):
    """A user's own script in a process that knows the environment only; only the naps of the SDK's polling are shortened."""
    environment = {**hosting.user_environment(server, folder), "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, ROOT / "tools/demo_training.py", hosting.ROLE]
    process = subprocess.Popen(
        list(map(str, command)), env=environment, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    for line in process.stdout:
        say("   " + line.rstrip())
    if process.wait() != 0:
        sys.exit("the script failed")


def main():
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="clary-demo-") as name:
        folder = pathlib.Path(name)
        step(1, "Real data")
        rows, labels = data(folder)
        (folder / "row.csv").write_text(harness.to_csv(rows[:1]))

        step(2, "Train two models: the real XGBoost, through clary-train")
        for variant, settings in VARIANTS.items():
            say(f"   last round: {train(folder, folder / variant, settings)}")

        step(3, "Start the platform, and deploy both behind one endpoint, 90 to 10")
        launched = time.monotonic()
        with hosting.up(folder / "data") as server:
            server.ready()
            say(f"   $ clary up --data data     (healthy after {time.monotonic() - launched:.3f} s)")
            clients = hosting.Clients(server)
            deploy(clients, folder)

            step(4, "Score the held-out rows in five formats")
            score_in_five_formats(clients, rows, labels)

            step(5, f"Invoke it {CALLS:,} times with boto3")
            show_split(clients, rows, labels)

            step(6, "Shift to 50 to 50 by a canary deployment, while requests run")
            summarise(shift(clients, folder))

            step(7, "Score the held-out rows by a batch transform, joined with their input")
            transform(clients, folder)

            step(8, "Train K-Means and XGBoost on digits by the SageMaker SDK's fit(), deploy, invoke")
            train_by_sdk(server, folder)

            step(9, "Stop")
            code = server.stop()
            say(f"   SIGTERM: requests in flight were finished, exit code {code}")
            if code != 0:
                sys.exit("the server did not end with 0")
    say()
    say(f"All of it took {time.monotonic() - started:.0f} s.")


if __name__ == "__main__":
    main()
