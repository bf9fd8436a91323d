"""Training jobs by boto3: what every test of them shares. Most train nothing: their image is a Python program that does what a
hyperparameter says, in the folders of a training container."""

import io
import json
import pathlib
import sys
import tarfile
import time

import harness
import hosting

BUCKET = "training"
ARN = f"arn:aws:sagemaker:{hosting.REGION}:{hosting.ACCOUNT}:training-job/"
GROUP = "/aws/sagemaker/TrainingJobs"

# What the server's flags are in these tests: programs as images, and no container engine, whatever the machine has.
FLAGS = ["--allow-process-images", "--container-engine", "none"]

# Code of the least job that leaves a model.
SAVE = "(model / 'weights').write_text('w')"

# The longest wait for a job. Reason: a debug build under load.
JOB_S = 120

PROGRAM = '''
import json, os, pathlib, signal, sys, time
base = pathlib.Path(os.environ["SAGEMAKER_BASE_DIR"])
settings = json.loads((base / "input/config/hyperparameters.json").read_text())
model, data, output, checkpoints = base / "model", base / "input/data", base / "output", base / "checkpoints"

def say(*words):
    print(*words, flush=True)

def wait_for(path):
    """The other side says when to go on: nobody waits longer than a test does."""
    for _ in range(6000):
        if os.path.exists(path):
            return
        time.sleep(0.01)
    sys.exit(9)

exec(json.loads(settings["code"]))
'''


def program(folder):
    """An image of the program above."""
    path = pathlib.Path(folder) / "program.py"
    path.write_text(PROGRAM)
    return f"process:{sys.executable} {path}"


def request(name, image, code=None, **members):
    """A CreateTrainingJob; `members` stand for those of the request, or are added."""
    asked = {
        "TrainingJobName": name,
        "RoleArn": hosting.ROLE,
        "AlgorithmSpecification": {"TrainingImage": image, "TrainingInputMode": "File"},
        "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/out"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 600},
    }
    if code is not None:
        # A value is one line.
        asked["HyperParameters"] = {"code": json.dumps(code)}
    for member, value in members.items():
        if isinstance(value, dict):
            asked[member] = {**asked.get(member, {}), **value}
        else:
            asked[member] = value
    return asked


def channel(name, uri, kind="S3Prefix", **members):
    source = {"S3DataType": kind, "S3Uri": uri}
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}, **members}


class Trainer:
    """A platform and the image of its programs."""

    def __init__(self, server, image):
        self.server, self.image = server, image
        self.clients = hosting.Clients(server)
        self.sagemaker, self.s3 = self.clients.sagemaker, self.clients.s3

    def start(self, name, code=None, image=None, **members):
        asked = request(name, image or self.image, code, **members)
        return self.sagemaker.create_training_job(**asked)

    def describe(self, name):
        return self.sagemaker.describe_training_job(TrainingJobName=name)

    def wait_until(self, name, is_so):
        """Looks again and again until the description is so; gives it."""
        deadline = time.monotonic() + JOB_S
        while not is_so(described := self.describe(name)):
            assert time.monotonic() < deadline, (described, "".join(self.server.log)[-5000:])
            assert self.server.process.poll() is None, "".join(self.server.log)
            time.sleep(0.01)
        return described

    def ended(self, name, status="Completed", secondary=None):
        """Waits for the end, however it comes; gives the description."""
        described = self.wait_until(name, lambda found: found["TrainingJobStatus"] not in ("InProgress", "Stopping"))
        assert described["TrainingJobStatus"] == status, described
        assert secondary in (None, described["SecondaryStatus"]), described
        return described

    def train(self, name, code=None, status="Completed", **members):
        self.start(name, code, **members)
        return self.ended(name, status)

    def in_phase(self, name, phase):
        return self.wait_until(name, lambda found: found["SecondaryStatus"] == phase)

    def stop(self, name):
        self.sagemaker.stop_training_job(TrainingJobName=name)

    def logs(self, name):
        """The messages of each stream."""
        logs = hosting.client(self.server, "logs")
        try:
            found = logs.describe_log_streams(logGroupName=GROUP, logStreamNamePrefix=f"{name}/", orderBy="LogStreamName")
        except logs.exceptions.ResourceNotFoundException:
            # Nothing has said anything yet.
            return {}
        streams = [stream["logStreamName"] for stream in found["logStreams"]]
        read = lambda stream: logs.get_log_events(logGroupName=GROUP, logStreamName=stream, startFromHead=True)["events"]
        return {stream: [event["message"] for event in read(stream)] for stream in streams}

    def model(self, described):
        """The files of a job's model.tar.gz."""
        return self.archive(described["ModelArtifacts"]["S3ModelArtifacts"])

    def archive(self, url):
        bucket, key = url.removeprefix("s3://").split("/", 1)
        body = self.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        with tarfile.open(fileobj=io.BytesIO(body)) as tar:
            return {member.name: tar.extractfile(member).read() for member in tar if member.isfile()}


def statuses(described):
    return [transition["Status"] for transition in described["SecondaryStatusTransitions"]]


def is_running(pid):
    """Whether a process runs: one that waits for its parent to look does not."""
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state not in "ZX"


def wait_gone(*pids):
    deadline = time.monotonic() + harness.WAIT_S
    while left := [pid for pid in pids if is_running(pid)]:
        assert time.monotonic() < deadline, left
        time.sleep(0.01)
