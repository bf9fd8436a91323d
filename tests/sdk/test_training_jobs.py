"""What users of training jobs rely on, by boto3 and the SageMaker SDK: what a job is given and gives, where it stands, that it
can be stopped at any time, and that no end of the server loses it."""

import datetime
import json

import numpy as np
import pytest

import harness
import hosting
import training
from endpoints import refused
from training import ARN, BUCKET, FLAGS, GROUP, SAVE, channel, statuses


@pytest.fixture(scope="module")
def trainer(tmp_path_factory):
    """A platform that takes programs as images, with room for several jobs at once."""
    folder = tmp_path_factory.mktemp("trainer")
    with hosting.up(folder / "data", *FLAGS, "--training-jobs", "4") as server:
        trainer = training.Trainer(server.ready(), training.program(folder))
        trainer.data = folder / "data"
        trainer.s3.create_bucket(Bucket=BUCKET)
        yield trainer


@pytest.fixture
def sdk_flow(tmp_path):
    """Runs a script of the SDK against a server; gives the last line that it printed, parsed."""

    def run(server, name, *arguments):
        return hosting.run_flow(server, tmp_path, name, *arguments)

    return run


def put(trainer, key, body):
    trainer.s3.put_object(Bucket=BUCKET, Key=key, Body=body)
    return f"s3://{BUCKET}/{key}"


# What a job is given, and gives.


def test_a_job_reads_its_channels_and_writes_its_model(trainer):
    put(trainer, "first/in/a.csv", "1,2\n")
    put(trainer, "first/in/sub/b.csv", "3\n")
    code = """
files = {str(path.relative_to(data)): path.read_text() for path in sorted(data.rglob("*")) if path.is_file()}
config = {path.stem: json.loads(path.read_text()) for path in (base / "input/config").glob("*.json")}
names = ("TRAINING_JOB_NAME", "TRAINING_JOB_ARN", "AWS_REGION", "CURRENT_HOST", "GIVEN", "AWS_SECRET_ACCESS_KEY")
told = {name: os.environ.get(name) for name in names}
(model / "sub").mkdir()
(model / "sub" / "told.json").write_text(json.dumps([files, config, told, sys.argv[1:]]))
(output / "data").mkdir(exist_ok=True)
(output / "data" / "report").write_text("r")
"""
    described = trainer.train(
        "first", code, InputDataConfig=[channel("train", f"s3://{BUCKET}/first/in/", ContentType="text/csv")],
        Environment={"GIVEN": "x"},
    )  # fmt: skip
    assert described["ModelArtifacts"]["S3ModelArtifacts"] == f"s3://{BUCKET}/out/first/output/model.tar.gz"
    model = trainer.model(described)
    files, config, told, words = json.loads(model["sub/told.json"])
    assert files == {"train/a.csv": "1,2\n", "train/sub/b.csv": "3\n"}
    assert json.loads(config["hyperparameters"]["code"]) == code and config["resourceconfig"]["hosts"] == ["algo-1"]
    assert config["inputdataconfig"]["train"]["ContentType"] == "text/csv"
    assert told == {
        "TRAINING_JOB_NAME": "first", "TRAINING_JOB_ARN": ARN + "first", "AWS_REGION": hosting.REGION,
        "CURRENT_HOST": "algo-1", "GIVEN": "x", "AWS_SECRET_ACCESS_KEY": None,
    }  # fmt: skip
    assert words == ["train"]
    assert trainer.archive(f"s3://{BUCKET}/out/first/output/output.tar.gz")["report"] == b"r"
    # Nothing of it is left on the machine.
    trainer.server.wait_until(lambda: list((trainer.data / "training").iterdir()) == [])


def test_a_job_is_described_as_it_was_given(trainer):
    asked = training.request(
        "described", trainer.image, SAVE,
        Environment={"A": "b"}, EnableInterContainerTrafficEncryption=True,
        CheckpointConfig={"S3Uri": f"s3://{BUCKET}/described/checkpoints", "LocalPath": "/opt/ml/checkpoints"},
        DebugHookConfig={"S3OutputPath": f"s3://{BUCKET}/debug"}, ProfilerConfig={"DisableProfiler": True},
        ExperimentConfig={"ExperimentName": "e"}, RetryStrategy={"MaximumRetryAttempts": 1},
    )  # fmt: skip
    tags = [{"Key": "team", "Value": "training"}]
    assert trainer.sagemaker.create_training_job(**asked, Tags=tags)["TrainingJobArn"] == ARN + "described"
    described = trainer.ended("described")
    asked["OutputDataConfig"] = {**asked["OutputDataConfig"], "KmsKeyId": "", "CompressionType": "GZIP"}
    asked["AlgorithmSpecification"]["EnableSageMakerMetricsTimeSeries"] = False
    assert {name: described[name] for name in asked} == asked
    assert described["EnableNetworkIsolation"] is False and described["EnableManagedSpotTraining"] is False
    assert statuses(described) == ["Starting", "Training", "Uploading", "Completed"] or statuses(described) == [
        "Starting", "Downloading", "Training", "Uploading", "Completed",
    ]  # fmt: skip
    transitions = described["SecondaryStatusTransitions"]
    for before, after in zip(transitions, transitions[1:]):
        assert before["StartTime"] <= before["EndTime"] == after["StartTime"] and after["StatusMessage"]
    assert "ExperimentConfig" in transitions[0]["StatusMessage"]
    assert transitions[-1]["EndTime"] == described["TrainingEndTime"] <= described["LastModifiedTime"]
    assert described["CreationTime"] <= described["TrainingStartTime"] <= described["TrainingEndTime"]
    assert described["TrainingTimeInSeconds"] == described["BillableTimeInSeconds"] >= 1
    assert trainer.sagemaker.list_tags(ResourceArn=ARN + "described")["Tags"] == tags
    trainer.sagemaker.get_waiter("training_job_completed_or_stopped").wait(TrainingJobName="described")


def test_a_member_that_is_newer_than_we_are_is_echoed(trainer):
    asked = training.request("newer", trainer.image, SAVE, NewerConfig={"Depth": {"X": [1, "a"]}})
    headers = {"X-Amz-Target": "SageMaker.CreateTrainingJob", "Content-Type": "application/x-amz-json-1.1"}
    post = lambda body: trainer.server.session.post(trainer.server.url, data=json.dumps(body), headers=headers, timeout=9)
    assert post(asked).status_code == 200
    headers["X-Amz-Target"] = "SageMaker.DescribeTrainingJob"
    described = post({"TrainingJobName": "newer"})
    assert described.json()["NewerConfig"] == {"Depth": {"X": [1, "a"]}} and "null" not in described.text


def test_a_model_may_stay_unpacked(trainer):
    described = trainer.train("unpacked", SAVE, OutputDataConfig={"CompressionType": "NONE"})
    url = described["ModelArtifacts"]["S3ModelArtifacts"]
    assert url.rstrip("/") == f"s3://{BUCKET}/out/unpacked/output/model"
    assert trainer.clients.objects(BUCKET, "out/unpacked/") == {"out/unpacked/output/model/weights": b"w"}


def test_several_hosts_are_one_job(trainer):
    for name in "abc":
        put(trainer, f"hosts/{name}", name)
    source = channel("train", f"s3://{BUCKET}/hosts/")
    source["DataSource"]["S3DataSource"]["S3DataDistributionType"] = "ShardedByS3Key"
    code = """
host = os.environ["CURRENT_HOST"]
names = sorted(path.name for path in (data / "train").iterdir())
say("host", host)
(model / host).write_text(",".join(names))
"""
    described = trainer.train("hosts", code, InputDataConfig=[source], ResourceConfig={"InstanceCount": 2})
    assert trainer.model(described) == {"algo-1": b"a,c", "algo-2": b"b"}
    logs = trainer.logs("hosts")
    assert [stream.rsplit("-", 1)[0] for stream in logs] == ["hosts/algo-1", "hosts/algo-2"]
    assert [lines[0] for lines in logs.values()] == ["host algo-1", "host algo-2"]


def test_a_pipe_has_an_epoch_after_another(trainer):
    put(trainer, "pipe/a", "1\n")
    put(trainer, "pipe/b", "2\n")
    code = """
for epoch in range(3):
    with open(data / f"train_{epoch}") as pipe:
        (model / str(epoch)).write_text(pipe.read())
"""
    specification = {"TrainingInputMode": "Pipe"}
    described = trainer.train(
        "pipe", code, InputDataConfig=[channel("train", f"s3://{BUCKET}/pipe/")], AlgorithmSpecification=specification
    )
    assert trainer.model(described) == {str(epoch): b"1\n2\n" for epoch in range(3)}
    assert "Downloading" not in statuses(described)


# How it fails.


@pytest.mark.parametrize(
    ("name", "code", "reason"),
    [
        ("fails-bare", "sys.exit(3)", "AlgorithmError: Exit Code: 3"),
        ("fails-told", "(output / 'failure').write_text('no gradient'); sys.exit(1)", "AlgorithmError: no gradient"),
        ("fails-client", "(output / 'failure').write_text('ClientError: bad depth'); sys.exit(2)", "ClientError: bad depth"),
    ],
)
def test_a_failure_says_why(trainer, name, code, reason):
    described = trainer.train(name, f"{SAVE}\n{code}", status="Failed")
    assert described["FailureReason"].startswith(reason), described
    assert described["SecondaryStatus"] == "Failed" and described["ModelArtifacts"] == {"S3ModelArtifacts": ""}
    assert described["SecondaryStatusTransitions"][-1]["StatusMessage"] == described["FailureReason"]
    assert f"out/{name}/output/model.tar.gz" not in trainer.clients.objects(BUCKET, f"out/{name}/")


def test_data_that_is_not_there_fails_the_job(trainer):
    described = trainer.train("nothing", SAVE, status="Failed", InputDataConfig=[channel("train", f"s3://{BUCKET}/none/")])
    assert f'No S3 objects found under S3 URL "s3://{BUCKET}/none/"' in described["FailureReason"]
    described = trainer.train("no-bucket", SAVE, status="Failed", OutputDataConfig={"S3OutputPath": "s3://no-such-bucket/x"})
    assert described["FailureReason"].startswith("ClientError") and "no-such-bucket" in described["FailureReason"]


def test_an_image_that_nothing_runs_fails_the_job(trainer):
    image = "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-training:2.1-cpu-py310"
    described = trainer.train("unknown", None, status="Failed", image=image)
    assert image in described["FailureReason"] and "process:/" in described["FailureReason"]
    script = {"sagemaker_program": '"train.py"', "sagemaker_submit_directory": '"s3://b/sourcedir.tar.gz"'}
    described = trainer.train("script", None, status="Failed", image=hosting.XGBOOST_IMAGE, HyperParameters=script)
    assert "train.py" in described["FailureReason"] and "container engine" in described["FailureReason"]


def test_a_container_engine_runs_other_images(tmp_path):
    """Whatever the engine is: it is given docker's command line."""
    engine = tmp_path / "engine"
    engine.write_text(f"#!/bin/sh\necho \"$@\" >> {tmp_path}/calls\necho line of the image\n")
    engine.chmod(0o755)
    with hosting.up(tmp_path / "data", "--container-engine", engine) as server:
        trainer = training.Trainer(server.ready(), "example.com/team/image:1")
        trainer.s3.create_bucket(Bucket=BUCKET)
        trainer.train("contained", None, EnableNetworkIsolation=True)
        calls = (tmp_path / "calls").read_text().splitlines()
        run = next(call for call in calls if call.startswith("run "))
        assert run.endswith("example.com/team/image:1 train") and ":/opt/ml" in run and "none" in run, run
        assert list(trainer.logs("contained").values()) == [["line of the image"]]


def test_programs_are_images_only_where_they_may_be(platform):
    asked = training.request("process", "process:/bin/true")
    refused(platform.sagemaker.create_training_job, "ValidationException", "--allow-process-images", **asked)


# Limits.


def test_a_request_has_as_much_as_it_may_have(trainer):
    put(trainer, "many/a", "x")
    channels = [channel(f"c{number}", f"s3://{BUCKET}/many/") for number in range(21)]
    settings = {"code": json.dumps("say('m7=7.5')"), **{f"p{number}": "x" for number in range(100)}}
    metrics = [{"Name": f"m{number}", "Regex": f"m{number}=([0-9.]+)"} for number in range(41)]
    cut = lambda settings, count: dict(list(settings.items())[:count])

    def asked(name, channels, settings, metrics):
        specification = {"MetricDefinitions": metrics}
        return training.request(
            name, trainer.image, InputDataConfig=channels, HyperParameters=settings, AlgorithmSpecification=specification
        )

    for wrong in [
        asked("much", channels, cut(settings, 100), metrics[:40]),
        asked("much", channels[:20], settings, metrics[:40]),
        asked("much", channels[:20], cut(settings, 100), metrics),
    ]:
        refused(trainer.sagemaker.create_training_job, "ValidationException", "less than or equal to", **wrong)
    trainer.sagemaker.create_training_job(**asked("much", channels[:20], cut(settings, 100), metrics[:40]))
    described = trainer.ended("much")
    assert [(found["MetricName"], found["Value"]) for found in described["FinalMetricDataList"]] == [("m7", 7.5)]
    assert len(described["AlgorithmSpecification"]["MetricDefinitions"]) == 40


@pytest.mark.parametrize(
    ("members", "code", "words"),
    [
        ({"EnableManagedSpotTraining": True}, "ValidationException", ["EnableManagedSpotTraining"]),
        ({"ResourceConfig": {"KeepAlivePeriodInSeconds": 60}}, "ValidationException", ["warm pools"]),
        ({"ResourceConfig": {"InstanceCount": 9}}, "ResourceLimitExceeded", ["InstanceCount", "found 9"]),
        ({"StoppingCondition": {"MaxRuntimeInSeconds": 2419201}}, "ValidationException", ["MaxRuntimeInSeconds"]),
        ({"AlgorithmSpecification": {"AlgorithmName": "kmeans"}}, "ValidationException", ["found both"]),
        (
            {"AlgorithmSpecification": {"MetricDefinitions": [{"Name": "m", "Regex": "a(?!b)(c)"}]}},
            "ValidationException",
            ["look-around", "a(?!b)(c)"],
        ),
        ({"OutputDataConfig": {"S3OutputPath": "https://example.com/a"}}, "ValidationException", ["S3OutputPath"]),
        ({"InputDataConfig": [channel("..", "s3://b/k")]}, "ValidationException", ["ChannelName"]),
        ({"InputDataConfig": [channel("a", "s3://b/k"), channel("a", "s3://b/k")]}, "ValidationException", ["twice"]),
        ({"InputDataConfig": [channel("a", "s3://b/k", "AugmentedManifestFile")]}, "ValidationException", ["Pipe"]),
        ({"EnableNetworkIsolation": True}, "ValidationException", ["EnableNetworkIsolation"]),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused_at_once(trainer, members, code, words):
    asked = training.request("refused", trainer.image, SAVE, **members)
    refused(trainer.sagemaker.create_training_job, code, *words, **asked)
    refused(trainer.sagemaker.describe_training_job, "ValidationException", TrainingJobName="refused")


def test_a_job_takes_no_longer_than_it_may(trainer):
    code = """
def save(*_):
    (model / "partial").write_text("p")
    sys.exit(0)
signal.signal(signal.SIGTERM, save)
say("ready")
time.sleep(600)
"""
    trainer.start("long", code, StoppingCondition={"MaxRuntimeInSeconds": 1})
    described = trainer.ended("long", "Stopped", "MaxRuntimeExceeded")
    assert trainer.model(described) == {"partial": b"p"} and "FailureReason" not in described


def test_a_job_has_no_more_memory_than_it_may(tmp_path):
    with hosting.up(tmp_path / "data", *FLAGS, "--training-memory-mb", "200") as server:
        trainer = training.Trainer(server.ready(), training.program(tmp_path))
        trainer.s3.create_bucket(Bucket=BUCKET)
        code = "big = b'x' * (400 << 20)\nsay('has it')\ntime.sleep(600)"
        described = trainer.train("big", code, status="Failed")
        assert described["FailureReason"].startswith("AlgorithmError") and "memory" in described["FailureReason"]
        assert str(200 << 20) in described["FailureReason"].replace(",", ""), described["FailureReason"]


# Metrics and logs.


def test_metrics_are_read_off_lines(trainer):
    definitions = [
        {"Name": "train:loss", "Regex": r"loss=(\S+);"},
        {"Name": "validation:auc", "Regex": r"auc: ([-+]?[0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?)"},
        {"Name": "never", "Regex": r"never=(\d+)"},
    ]
    code = """
for loss in ("0.5", "nan", "0.123456789012345", "inf"):
    say(f"step loss={loss};")
print("auc: 9.5e-1", file=sys.stderr, flush=True)
"""
    described = trainer.train("metrics", code, AlgorithmSpecification={"MetricDefinitions": definitions})
    assert described["AlgorithmSpecification"]["MetricDefinitions"] == definitions
    final = {found["MetricName"]: found["Value"] for found in described["FinalMetricDataList"]}
    # The wire's numbers are of single precision.
    assert final == {"train:loss": pytest.approx(0.123456789012345, rel=1e-6), "validation:auc": pytest.approx(0.95)}
    watch = hosting.client(trainer.server, "cloudwatch")

    def read(name, dimension, value, statistics=("SampleCount", "Sum", "Minimum")):
        now = datetime.datetime.now(datetime.timezone.utc)
        around = datetime.timedelta(minutes=5)
        found = watch.get_metric_statistics(
            Namespace=GROUP, MetricName=name, Dimensions=[{"Name": dimension, "Value": value}],
            StartTime=now - around, EndTime=now + around, Period=3600, Statistics=list(statistics),
        )  # fmt: skip
        return found["Datapoints"]

    (loss,) = read("train:loss", "TrainingJobName", "metrics")
    assert loss["SampleCount"] == 2 and loss["Minimum"] == pytest.approx(0.123456789012345, rel=1e-12)
    assert len(read("MemoryUtilization", "Host", "metrics/algo-1")) == 1
    assert read("never", "TrainingJobName", "metrics") == []


def test_lines_are_read_while_the_job_runs(trainer, tmp_path):
    go_on = tmp_path / "go-on"
    trainer.start("lines", f"say('first')\nprint('on stderr', file=sys.stderr)\nwait_for({str(go_on)!r})\nsay('last')")
    trainer.server.wait_until(lambda: any("first" in lines for lines in trainer.logs("lines").values()))
    go_on.touch()
    described = trainer.ended("lines")
    ((stream, lines),) = trainer.logs("lines").items()
    assert stream == f"lines/algo-1-{int(described['CreationTime'].timestamp())}"
    assert sorted(lines) == ["first", "last", "on stderr"] and lines[-1] == "last"


# Stopping.


RUN = "say('runs')\ntime.sleep(600)"


def test_a_job_is_stopped_while_it_waits_and_while_it_runs(tmp_path):
    with hosting.up(tmp_path / "data", *FLAGS, "--training-jobs", "1") as server:
        trainer = training.Trainer(server.ready(), training.program(tmp_path))
        trainer.s3.create_bucket(Bucket=BUCKET)
        trainer.start("runs", "(model / 'partial').write_text('p')\n" + RUN)
        trainer.in_phase("runs", "Training")
        for name in ("waits", "waits-too"):
            trainer.start(name, SAVE)
            trainer.in_phase(name, "Pending")
        trainer.stop("waits")
        described = trainer.ended("waits", "Stopped", "Stopped")
        assert statuses(described) == ["Starting", "Pending", "Stopping", "Stopped"]
        assert "TrainingStartTime" not in described and described["ModelArtifacts"]["S3ModelArtifacts"] == ""
        trainer.server.wait_until(lambda: trainer.logs("runs"))
        # Twice is once.
        trainer.stop("runs")
        described = trainer.ended("runs", "Stopped", "Stopped")
        assert "Stopping" in statuses(described) and trainer.model(described) == {"partial": b"p"}
        refused(trainer.sagemaker.stop_training_job, "ValidationException", "in status Stopped", TrainingJobName="runs")
        # Whose turn it is then.
        assert trainer.ended("waits-too")["SecondaryStatus"] == "Completed"


def test_a_job_is_stopped_while_it_downloads_and_while_it_uploads(trainer):
    body = np.random.default_rng(0).bytes(1 << 20)
    for number in range(64):
        put(trainer, f"large/{number}", body)
    trainer.start("downloads", SAVE, InputDataConfig=[channel("train", f"s3://{BUCKET}/large/")])
    trainer.in_phase("downloads", "Downloading")
    trainer.stop("downloads")
    described = trainer.ended("downloads", "Stopped", "Stopped")
    assert "Training" not in statuses(described), described
    assert trainer.clients.objects(BUCKET, "out/downloads/") == {}
    code = "(model / 'big').write_bytes(os.urandom(96 << 20))"
    trainer.start("uploads", code)
    trainer.in_phase("uploads", "Uploading")
    trainer.stop("uploads")
    described = trainer.ended("uploads", "Stopped", "Stopped")
    # What was being written is whole, or not there.
    assert len(trainer.model(described)["big"]) == 96 << 20
    assert "Uploads" not in trainer.s3.list_multipart_uploads(Bucket=BUCKET)


def test_a_job_is_stopped_before_it_began(trainer):
    trainer.start("early", RUN)
    trainer.stop("early")
    assert trainer.ended("early", "Stopped")["SecondaryStatus"] == "Stopped"


# Names, lists, searches.


def test_a_name_is_taken_until_its_job_is_deleted(trainer):
    trainer.train("named", SAVE)
    asked = training.request("named", trainer.image, SAVE)
    refused(trainer.sagemaker.create_training_job, "ResourceInUse", "named", **asked)
    trainer.start("named-runs", RUN)
    refused(trainer.sagemaker.delete_training_job, "ValidationException", "InProgress", TrainingJobName="named-runs")
    updated = trainer.sagemaker.update_training_job(TrainingJobName="named-runs", ProfilerConfig={"DisableProfiler": True})
    assert updated["TrainingJobArn"] == ARN + "named-runs"
    assert trainer.describe("named-runs")["ProfilerConfig"] == {"DisableProfiler": True}
    warm = {"TrainingJobName": "named-runs", "ResourceConfig": {"KeepAlivePeriodInSeconds": 0}}
    refused(trainer.sagemaker.update_training_job, "ValidationException", "warm pools", **warm)
    trainer.stop("named-runs")
    trainer.ended("named-runs", "Stopped")
    trainer.sagemaker.delete_training_job(TrainingJobName="named")
    for call in (trainer.sagemaker.describe_training_job, trainer.sagemaker.stop_training_job, trainer.sagemaker.delete_training_job):
        refused(call, "ValidationException", "Requested resource not found", TrainingJobName="named")
    # The model stays, and the name is free.
    assert f"out/named/output/model.tar.gz" in trainer.clients.objects(BUCKET, "out/named/")
    trainer.train("named", SAVE)


def test_jobs_are_listed_and_found(trainer):
    definitions = {"MetricDefinitions": [{"Name": "auc", "Regex": "auc=(.*)"}]}
    for name, auc in {"found-b": "0.5", "found-a": "0.9", "found-c": "0.7"}.items():
        settings = {"code": json.dumps(f"say('auc={auc}')"), "eta": auc}
        trainer.start(name, None, HyperParameters=settings, AlgorithmSpecification=definitions, Tags=[{"Key": "t", "Value": auc}])
        trainer.ended(name)
    listed = lambda **further: [
        job["TrainingJobName"][-1]
        for page in trainer.sagemaker.get_paginator("list_training_jobs").paginate(NameContains="found-", **further)
        for job in page["TrainingJobSummaries"]
    ]
    assert listed() == ["c", "a", "b"] and listed(SortBy="Name", SortOrder="Ascending", MaxResults=1) == ["a", "b", "c"]
    assert listed(StatusEquals="Completed") == ["c", "a", "b"] and listed(StatusEquals="Failed") == []
    job = trainer.sagemaker.list_training_jobs(NameContains="found-a")["TrainingJobSummaries"][0]
    assert {"TrainingJobArn", "CreationTime", "TrainingEndTime", "LastModifiedTime"} <= set(job)
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Completed", "Completed")

    def search(*filters, **further):
        filters = [dict(zip(("Name", "Operator", "Value"), found)) for found in filters]
        found = trainer.sagemaker.search(Resource="TrainingJob", SearchExpression={"Filters": filters}, **further)
        return [result["TrainingJob"]["TrainingJobName"][-1] for result in found["Results"]]

    ours = ("TrainingJobName", "Contains", "found-")
    best = {"SortBy": "Metrics.auc", "SortOrder": "Descending"}
    assert search(ours, **best) == ["a", "c", "b"]
    assert search(ours, ("Metrics.auc", "GreaterThan", "0.6"), **best) == ["a", "c"]
    assert search(ours, ("HyperParameters.eta", "Equals", "0.7")) == ["c"]
    assert search(ours, ("Tags.t", "Equals", "0.5")) == ["b"]
    assert search(("AlgorithmSpecification.TrainingImage", "Contains", "no-such-image")) == []


# Built-in algorithms, and the SDK.


def test_xgboost_is_trained_and_watched(trainer, cancer):
    rows, labels = cancer
    put(trainer, "xgboost/train/a.csv", harness.to_csv(np.column_stack([labels, rows])))
    source = lambda name: channel(name, f"s3://{BUCKET}/xgboost/train/", ContentType="text/csv")
    settings = {"objective": "binary:logistic", "num_round": "5", "eval_metric": "auc"}
    described = trainer.train(
        "xgboost", None, image=hosting.XGBOOST_IMAGE, HyperParameters=settings,
        InputDataConfig=[source("train"), source("validation")],
    )  # fmt: skip
    assert "xgboost-model" in trainer.model(described)
    final = {found["MetricName"]: found["Value"] for found in described["FinalMetricDataList"]}
    assert final["validation:auc"] > 0.98 and final["train:auc"] == final["validation:auc"]
    definitions = described["AlgorithmSpecification"]["MetricDefinitions"]
    assert len(definitions) == 40 and {found["Name"] for found in definitions[:2]} == {"train:auc", "validation:auc"}
    (lines,) = trainer.logs("xgboost").values()
    assert any("validation-auc" in line for line in lines), lines


def test_a_bad_hyperparameter_is_named(trainer, cancer):
    source = channel("train", put(trainer, "bad/a.csv", "1,2\n"), ContentType="text/csv")
    settings = {"num_round": "5", "no_such_thing": "1"}
    described = trainer.train(
        "bad", None, "Failed", image=hosting.XGBOOST_IMAGE, HyperParameters=settings, InputDataConfig=[source]
    )
    assert described["FailureReason"].startswith("ClientError") and "no_such_thing" in described["FailureReason"]


def test_the_sdk_fits_attaches_deploys_predicts_and_transforms(trainer, cancer, sdk_flow, tmp_path):
    rows, labels = cancer
    np.save(tmp_path / "rows.npy", np.column_stack([labels, np.nan_to_num(rows)]))
    result = sdk_flow(trainer.server, "v2_training", tmp_path / "rows.npy", hosting.ROLE)
    # The phases as they came, and the lines of the program.
    for words in ("Starting", "Training", "Uploading", "Completed", "validation-auc", "Training seconds:"):
        assert words in result["printed"], (words, result["printed"])
    assert result["model"].endswith("/output/model.tar.gz") and result["attached"] == result["model"]
    assert result["metrics"]["validation:auc"] > 0.95
    np.testing.assert_allclose(result["attached_scores"], result["scores"])
    np.testing.assert_allclose(result["transformed"], result["scores"], rtol=1e-5)
    assert ((np.array(result["scores"]) > 0.5) == labels[:20]).mean() > 0.9
    assert "no_such_thing" in result["failure"] and "Failed" in result["failure"]
    assert result["stopped"] == "Stopped"
