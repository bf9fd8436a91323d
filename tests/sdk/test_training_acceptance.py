"""Training jobs of the built-in algorithms from end to end, by boto3: data in the store, any number of hosts and either way to
feed them; stopped, killed and gone on with; refused with reasons; then deployed and asked in every format. All on the digits."""

import datetime
import io
import json
import pathlib

import numpy as np
import pytest
import xgboost
from sagemaker.amazon.common import read_records

import families
import harness
import hosting
import training
from families import CSV, HELD, IS_ZERO, KNOWN, LABELS, LASTING, RECORDS, ROWS, SUPERVISED, body, labelled, records
from training import BUCKET, FLAGS, GROUP, channel, is_running, statuses

LIBSVM, JSON, LINES = "text/libsvm", "application/json", "application/jsonlines"
SETTINGS = families.SETTINGS | {"xgboost": families.SETTINGS["xgboost"] | {"num_round": 10}}


def image(name):
    repository = "sagemaker-xgboost:1.7-1" if name == "xgboost" else f"{name}:1"
    return f"382416733822.dkr.ecr.{hosting.REGION}.amazonaws.com/{repository}"


def source(name, key, content_type, distribution=None, **members):
    """A channel of the objects below a key."""
    made = channel(name, f"s3://{BUCKET}/{key}", ContentType=content_type, **members)
    if distribution is not None:
        made["DataSource"]["S3DataSource"]["S3DataDistributionType"] = distribution
    return made


class Jobs(training.Trainer):
    """A trainer of built-in algorithms, whose data is in the store."""

    def fill(self):
        self.s3.create_bucket(Bucket=BUCKET)
        for name in SETTINGS:
            # Four objects, so that two hosts have two each.
            for part in range(4):
                data, _ = body(name, KNOWN & (np.arange(len(ROWS)) % 4 == part))
                self.put(f"digits/{name}/{part}", data)
        return self

    def put(self, key, data):
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=data)

    def begin(self, job, name, settings=(), inputs=None, mode="File", hosts=1, **members):
        """Starts a job of an algorithm on the digits, unless it is told of other data."""
        settings = {**SETTINGS[name], **({} if name == "xgboost" else {"feature_dim": 64}), **dict(settings)}
        settings = {key: str(value) for key, value in settings.items() if value is not None}
        distribution = "ShardedByS3Key" if hosts > 1 or name == "randomcutforest" else None
        if inputs is None:
            inputs = [source("train", f"digits/{name}/", CSV if name == "xgboost" else RECORDS, distribution)]
        return self.start(
            job, image=image(name), HyperParameters=settings, InputDataConfig=inputs,
            AlgorithmSpecification={"TrainingInputMode": mode}, ResourceConfig={"InstanceCount": hosts}, **members,
        )  # fmt: skip

    def refuse(self, job, name, rows=None, **asked):
        """Starts a job that must fail; `rows`: the data that it gets, and its content type."""
        if rows is not None:
            data, content_type = rows
            if data is not None:
                self.put(f"refused/{job}/rows", data)
            asked["inputs"] = [source("train", f"refused/{job}/", content_type)]
        self.begin(job, name, **asked)

    def completed(self, job):
        described = self.describe(job)
        if described["TrainingJobStatus"] != "Completed":
            described = self.ended(job)
        return described

    def line(self, job, word, count=1):
        """Waits until a job's log has so many lines that hold a word."""
        has = lambda: sum(word in line for lines in self.logs(job).values() for line in lines) >= count
        self.server.wait_until(has)

    def tensors(self, job):
        """What a job learnt, by name."""
        files = self.model(self.completed(job))
        data = files["model.safetensors"]
        size = int.from_bytes(data[:8], "little")
        read = lambda start, end: data[8 + size + start : 8 + size + end]
        kinds = {"F32": np.float32, "F64": np.float64, "U32": np.uint32, "U64": np.uint64, "I32": np.int32}
        return {
            name: np.frombuffer(read(*found["data_offsets"]), kinds[found["dtype"]]).reshape(found["shape"])
            for name, found in json.loads(data[8 : 8 + size]).items()
            if name != "__metadata__"
        }

    def deploy(self, job, name, endpoint=None):
        """An endpoint of a job's model, by the image that trained it."""
        endpoint = endpoint or job
        url = self.describe(job)["ModelArtifacts"]["S3ModelArtifacts"]
        self.clients.create_model(endpoint, url, image(name))
        self.clients.create_config(endpoint, {"AllTraffic": (endpoint, 1.0)})
        self.clients.create_endpoint(endpoint, endpoint)
        return endpoint

    def ask(self, endpoint, body, content_type, accept=JSON):
        answer = self.clients.runtime.invoke_endpoint(
            EndpointName=endpoint, Body=body, ContentType=content_type, Accept=accept
        )
        return answer["Body"].read(), answer["ContentType"]


def spoilt(name, value):
    """Fifty rows of an algorithm's data, one number of which is not one."""
    rows = ROWS[:50].copy()
    rows[7, 3] = value
    return records(rows, IS_ZERO[:50] if name in SUPERVISED else None), RECORDS


def narrow(name):
    return records(ROWS[:50, :63], IS_ZERO[:50] if name in SUPERVISED else None), RECORDS


# What must fail: the algorithm, what is asked of it, and words of the reason.
REFUSED = {
    "range-xgboost": ("xgboost", {"settings": {"eta": 7}}, ["eta", "[0, 1]", "7"]),
    "range-linear": ("linear-learner", {"settings": {"quantile": 1.5}}, ["quantile", "1.5"]),
    "range-kmeans": ("kmeans", {"settings": {"k": 0}}, ["hyperparameter k", "[1, ", "0"]),
    "range-pca": ("pca", {"settings": {"algorithm_mode": "exact"}}, ["algorithm_mode", "regular", "randomized", "exact"]),
    "range-knn": ("knn", {"settings": {"index_metric": "L3"}}, ["index_metric", "INNER_PRODUCT", "L3"]),
    "range-fm": ("factorization-machines", {"settings": {"num_factors": -1}}, ["num_factors", "at least 1", "-1"]),
    "range-rcf": ("randomcutforest", {"settings": {"num_trees": 49}}, ["num_trees", "[50, 1000]", "49"]),
    "range-lda": ("lda", {"settings": {"alpha0": 0}}, ["alpha0", "0"]),
    "unknown-setting": ("kmeans", {"settings": {"wibble": 1}}, ["wibble"]),
    "missing-setting": ("knn", {"settings": {"k": None}}, ["hyperparameter k"]),
    **{
        f"nan-{name}": (name, {"rows": spoilt(name, np.nan)}, ["/opt/ml/input/data/train/rows: row 8, column 4", "missing value"])
        for name in SETTINGS
        if name not in ("xgboost", "randomcutforest")
    },
    **{
        f"width-{name}": (name, {"rows": narrow(name)}, ["63", "64"])
        for name in SETTINGS
        if name not in ("xgboost", "randomcutforest")
    },
    "widths-xgboost": ("xgboost", {"rows": (b"1,2,3\n1,2\n", CSV)}, ["row 2"]),
    "labels-linear": ("linear-learner", {"rows": (records(ROWS[:50], LABELS[:50].astype(np.float32)), RECORDS)}, ["label"]),
    "unlabelled-knn": ("knn", {"rows": (records(ROWS[:50]), RECORDS)}, ["label"]),
    "empty": ("kmeans", {"rows": (b"", RECORDS)}, ["train"]),
    "garbage": ("pca", {"rows": (b"no records at all\n", RECORDS)}, ["rows"]),
    "missing": ("pca", {"rows": (None, RECORDS)}, ['No S3 objects found under S3 URL "s3://training/refused/missing/"']),
    "channel": (
        "kmeans",
        {"inputs": [source(name, "digits/kmeans/", RECORDS) for name in ("train", "wibble")]},
        ["wibble"],
    ),
    "no-train": ("kmeans", {"inputs": [source("test", "digits/kmeans/", RECORDS)]}, ["train"]),
    "replicated": (
        "randomcutforest",
        {"inputs": [source("train", "digits/randomcutforest/", RECORDS)]},
        ["ShardedByS3Key", "FullyReplicated"],
    ),
    "libsvm": ("kmeans", {"rows": (b"0 1:2\n", LIBSVM)}, [LIBSVM]),
    "csv-fm": ("factorization-machines", {"rows": (labelled(ROWS[:50], IS_ZERO[:50]), CSV)}, [CSV]),
    "pipe-xgboost": ("xgboost", {"mode": "Pipe"}, ["Pipe"]),
    "sharded-lda": ("lda", {"hosts": 2}, ["FullyReplicated"]),
    "hosts-lda": ("lda", {"hosts": 2, "inputs": [source("train", "digits/lda/", RECORDS)]}, ["host", "2"]),
}  # fmt: skip


# Jobs of several hosts, by file and by pipe, beside those of one: (name, mode, hosts).
DISTRIBUTED = [
    (name, mode, hosts)
    for name in ("kmeans", "pca", "xgboost")
    for mode in ("File", "Pipe")
    for hosts in (1, 2)
    if (name, mode) != ("xgboost", "Pipe")
]


@pytest.fixture(scope="module")
def jobs(tmp_path_factory):
    """A platform, on which every job that is only read is under way."""
    folder = tmp_path_factory.mktemp("jobs")
    with hosting.up(folder / "data", *FLAGS, "--training-jobs", "4") as server:
        jobs = Jobs(server.ready(), training.program(folder)).fill()
        jobs.data = folder / "data"
        for name in SETTINGS:
            jobs.begin(f"fit-{name}", name)
        for name, mode, hosts in DISTRIBUTED:
            jobs.begin(f"{name}-{mode}-{hosts}", name, mode=mode, hosts=hosts)
        for job, (name, asked, _) in REFUSED.items():
            jobs.refuse(job, name, **asked)
        yield jobs


# Several hosts, and pipes.


def distance(job, jobs):
    """Of held rows to their nearest centre, squared."""
    (centers,) = [tensor for tensor in jobs.tensors(job).values() if tensor.ndim == 2]
    return ((ROWS[HELD][:, None] - centers) ** 2).sum(axis=2).min(axis=1).mean()


@pytest.mark.parametrize("mode", ["File", "Pipe"])
def test_kmeans_of_two_hosts_is_that_of_one(jobs, mode):
    one, two = (distance(f"kmeans-{mode}-{hosts}", jobs) for hosts in (1, 2))
    assert two == pytest.approx(one, rel=0.03)
    # Data of ten classes falls into clusters.
    assert two < 0.75 * ((ROWS[HELD] - ROWS[KNOWN].mean(axis=0)) ** 2).sum(axis=1).mean()
    assert [stream.rsplit("-", 1)[0] for stream in jobs.logs(f"kmeans-{mode}-2")] == [
        f"kmeans-{mode}-2/algo-1", f"kmeans-{mode}-2/algo-2",
    ]  # fmt: skip


@pytest.mark.parametrize("mode", ["File", "Pipe"])
def test_pca_of_two_hosts_is_that_of_one(jobs, mode):
    one, two, file = (jobs.tensors(f"pca-{which}") for which in (f"{mode}-1", f"{mode}-2", "File-1"))
    for name in ("mean", "s", "v"):
        np.testing.assert_allclose(two[name], one[name], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(one[name], file[name], rtol=1e-4, atol=1e-5)
    assert ("Downloading" in statuses(jobs.describe(f"pca-{mode}-2"))) == (mode == "File")


def test_xgboost_of_two_hosts_is_that_of_one(jobs, tmp_path):
    def scores(job):
        path = tmp_path / f"{job}.ubj"
        path.write_bytes(jobs.model(jobs.completed(job))["xgboost-model"])
        return xgboost.Booster(model_file=str(path)).predict(xgboost.DMatrix(ROWS[HELD]))

    one, two = scores("xgboost-File-1"), scores("xgboost-File-2")
    assert ((two > 0.5) == (IS_ZERO[HELD] == 1)).mean() > 0.97
    assert np.abs(two - one).mean() < 0.02


def test_a_linear_learner_reads_a_pipe_an_epoch_each(jobs):
    epochs = {"epochs": 4, "early_stopping_patience": 100}
    for mode in ("File", "Pipe"):
        jobs.begin(f"linear-{mode}", "linear-learner", epochs, mode=mode)
    losses = {}
    for mode in ("File", "Pipe"):
        described = jobs.completed(f"linear-{mode}")
        (lines,) = jobs.logs(f"linear-{mode}").values()
        for epoch in range(4):
            assert any(f"epoch={epoch}, train" in line for line in lines), (mode, epoch)
        final = {found["MetricName"]: found["Value"] for found in described["FinalMetricDataList"]}
        losses[mode] = final["train:objective_loss"]
        # The rows of a pipe are gone when the model is finished.
        assert ("train:binary_classification_accuracy" in final) == (mode == "File")
    assert losses["Pipe"] < 0.1 and losses["Pipe"] == pytest.approx(losses["File"], abs=0.03)


# Stopped, killed, and gone on with.


def kept(job):
    return {"CheckpointConfig": {"S3Uri": f"s3://{BUCKET}/checkpoints/{job}"}}


@pytest.mark.parametrize(("name", "word"), [("xgboost", "train-logloss"), ("factorization-machines", "epoch=")])
def test_a_job_that_is_stopped_serves_and_is_gone_on_with(jobs, name, word):
    job, after = f"stopped-{name}", f"after-{name}"
    jobs.begin(job, name, LASTING[name], **kept(job))
    jobs.line(job, word, 12)
    jobs.stop(job)
    described = jobs.ended(job, "Stopped", "Stopped")
    assert "Stopping" in statuses(described) and "FailureReason" not in described
    kept_keys = jobs.clients.objects(BUCKET, f"checkpoints/{job}/")
    assert [key.rsplit("/", 1)[1] for key in kept_keys] == ["algo-1-state.checkpoint"]
    endpoint = jobs.deploy(job, name)
    content_type = CSV if name == "xgboost" else RECORDS
    rows = harness.to_csv(ROWS[HELD]) if name == "xgboost" else records(ROWS[HELD])
    answer = json.loads(jobs.ask(endpoint, rows, content_type)[0])["predictions"]
    scores = np.array([row["score"] for row in answer])
    assert ((scores > 0.5) == (IS_ZERO[HELD] == 1)).mean() > 0.95
    # Another job with the same checkpoints begins where this one was.
    jobs.begin(after, name, LASTING[name], **kept(job))
    jobs.line(after, "going on after", 1)
    jobs.line(after, word, 2)
    jobs.stop(after)
    described = jobs.ended(after, "Stopped", "Stopped")
    assert jobs.model(described)


def test_a_job_is_resumed_after_the_server_was_killed(tmp_path):
    def processes():
        """Trainers of this server, by their folders."""
        found = []
        for path in pathlib.Path("/proc").iterdir():
            if path.name.isdigit():
                try:
                    environment = (path / "environ").read_bytes()
                except OSError:
                    continue
                if f"SAGEMAKER_BASE_DIR={tmp_path}".encode() in environment and is_running(int(path.name)):
                    found.append(int(path.name))
        return found

    rounds = {"num_round": 500, "max_depth": 6}
    with hosting.up(tmp_path / "data", *FLAGS) as server:
        jobs = Jobs(server.ready(), "")
        jobs.fill()
        jobs.begin("killed", "xgboost", rounds, **kept("killed"))
        jobs.line("killed", "train-logloss", 20)
        server.wait_until(lambda: list((tmp_path / "data/training").glob("*/algo-1/checkpoints/*.checkpoint")))
        before = processes()
        assert before
        server.process.kill()
        server.process.wait()
    with hosting.up(tmp_path / "data", *FLAGS) as server:
        jobs = Jobs(server.ready(), "")
        described = jobs.completed("killed")
        training.wait_gone(*before)
        server.wait_until(lambda: not processes())
        found = statuses(described)
        assert found[-1] == "Completed" and found.count("Restarting") == 1 and found.count("Training") == 2, found
        (lines,) = jobs.logs("killed").values()
        assert sum("going on after" in line for line in lines) == 1
        # None of its rounds is missing from the model, and none is twice.
        booster = xgboost.Booster(model_file=bytearray(jobs.model(described)["xgboost-model"]))
        assert booster.num_boosted_rounds() == 500
        assert list((tmp_path / "data/training").iterdir()) == []


@pytest.mark.parametrize("name", ["xgboost", "kmeans", "linear-learner", "factorization-machines"])
def test_a_model_is_trained_further(jobs, name):
    url = jobs.completed(f"fit-{name}")["ModelArtifacts"]["S3ModelArtifacts"]
    kind = CSV if name == "xgboost" else RECORDS
    earlier = channel("model", url, ContentType="application/x-sagemaker-model", InputMode="File")
    jobs.begin(f"further-{name}", name, inputs=[source("train", f"digits/{name}/", kind), earlier])
    described = jobs.completed(f"further-{name}")
    if name == "xgboost":
        booster = xgboost.Booster(model_file=bytearray(jobs.model(described)["xgboost-model"]))
        assert booster.num_boosted_rounds() == 20
    else:
        before, after = jobs.tensors(f"fit-{name}"), jobs.tensors(f"further-{name}")
        assert before.keys() == after.keys()
        assert any(not np.array_equal(before[key], after[key]) for key in before)
    # What another algorithm made is none of its models.
    other = "kmeans" if name != "kmeans" else "linear-learner"
    url = jobs.completed(f"fit-{other}")["ModelArtifacts"]["S3ModelArtifacts"]
    earlier = channel("model", url, ContentType="application/x-sagemaker-model", InputMode="File")
    jobs.begin(f"wrong-{name}", name, inputs=[source("train", f"digits/{name}/", kind), earlier])
    described = jobs.ended(f"wrong-{name}", "Failed")
    assert described["FailureReason"].startswith("ClientError: ") and "model" in described["FailureReason"], described


def test_a_built_in_algorithm_saves_what_it_has_when_its_time_is_over(jobs):
    jobs.begin("late", "kmeans", LASTING["kmeans"], StoppingCondition={"MaxRuntimeInSeconds": 1})
    described = jobs.ended("late", "Stopped", "MaxRuntimeExceeded")
    assert "model.safetensors" in jobs.model(described) and "FailureReason" not in described


# Refused.


@pytest.mark.parametrize("job", REFUSED)
def test_what_is_wrong_is_said(jobs, job):
    described = jobs.ended(job, "Failed", "Failed")
    reason = described["FailureReason"]
    assert reason.startswith("ClientError: ") and reason.count("ClientError") == 1 and len(reason) <= 1024, reason
    for word in REFUSED[job][2]:
        assert word in reason, reason
    assert described["ModelArtifacts"] == {"S3ModelArtifacts": ""}
    assert f"out/{job}/output/model.tar.gz" not in jobs.clients.objects(BUCKET, f"out/{job}/")


# Programs beside algorithms, and what is written.


def test_a_program_has_metrics_of_its_own_and_is_told_what_scripts_are_told(jobs):
    code = """
for step in range(3):
    say(f"step={step} loss: {0.5 / (step + 1)};")
told = {name: value for name, value in os.environ.items() if name.startswith("SM_")}
(model / "told.json").write_text(json.dumps(told))
(output / "data" / "deep").mkdir(parents=True)
(output / "data" / "deep" / "report.txt").write_text("all well")
"""
    described = jobs.train(
        "program", None, HyperParameters={"code": json.dumps(code), "epochs": "3", "rate": "0.5"},
        InputDataConfig=[source("train", "digits/kmeans/", RECORDS)],
        AlgorithmSpecification={"MetricDefinitions": [{"Name": "loss", "Regex": r"step=\d+ loss: ([0-9.]+);"}]},
        OutputDataConfig={"CompressionType": "NONE"},
    )  # fmt: skip
    prefix = "out/program/output/"
    objects = jobs.clients.objects(BUCKET, prefix)
    told = json.loads(objects[prefix + "model/told.json"])
    assert told["SM_CHANNELS"] == '["train"]' and told["SM_CHANNEL_TRAIN"].endswith("/input/data/train")
    assert (told["SM_HP_EPOCHS"], told["SM_HP_RATE"]) == ("3", "0.5") and json.loads(told["SM_HOSTS"]) == ["algo-1"]
    assert told["SM_CURRENT_HOST"] == "algo-1" and told["SM_MODEL_DIR"].endswith("/model")
    # Nothing is packed.
    assert prefix + "model.tar.gz" not in objects
    if prefix + "output.tar.gz" in objects:
        assert jobs.archive(f"s3://{BUCKET}/{prefix}output.tar.gz") == {"deep/report.txt": b"all well"}
    else:
        assert objects[prefix + "output/deep/report.txt"] == b"all well"
    (found,) = described["FinalMetricDataList"]
    assert found["MetricName"] == "loss" and found["Value"] == pytest.approx(0.5 / 3)
    points = [json.loads(line) for line in objects[prefix + "metrics.jsonl"].decode().splitlines()]
    assert [point["value"] for point in points] == [0.5, 0.25, 0.5 / 3]
    now, around = datetime.datetime.now(datetime.timezone.utc), datetime.timedelta(minutes=5)
    (read,) = hosting.client(jobs.server, "cloudwatch").get_metric_statistics(
        Namespace=GROUP, MetricName="loss", Dimensions=[{"Name": "TrainingJobName", "Value": "program"}],
        StartTime=now - around, EndTime=now + around, Period=3600, Statistics=["SampleCount", "Minimum", "Maximum"],
    )["Datapoints"]  # fmt: skip
    assert (read["SampleCount"], read["Minimum"], read["Maximum"]) == (3, pytest.approx(0.5 / 3), 0.5)


def test_a_model_of_one_setting_is_the_same_bytes(jobs):
    """Trained again from the same data: the archive has no times and no names of its job."""
    for name in ("kmeans", "xgboost"):
        jobs.begin(f"same-{name}", name)
        models = [jobs.model(jobs.completed(f"{job}-{name}")) for job in ("fit", "same")]
        assert models[0] == models[1], name


def test_jobs_are_found_by_what_they_were_set_to_and_what_came_of_it(jobs):
    tags = [{"Key": "sweep", "Value": "centres"}]
    for k in (4, 8, 12):
        test = source("test", "digits/kmeans/", RECORDS)
        train = source("train", "digits/kmeans/", RECORDS)
        jobs.begin(f"sweep-{k}", "kmeans", {"k": k}, inputs=[train, test], Tags=tags)
    found = {k: jobs.completed(f"sweep-{k}") for k in (4, 8, 12)}
    assert jobs.sagemaker.list_tags(ResourceArn=found[4]["TrainingJobArn"])["Tags"] == tags
    distances = {
        k: {one["MetricName"]: one["Value"] for one in described["FinalMetricDataList"]}["test:msd"]
        for k, described in found.items()
    }
    assert distances[4] > distances[8] > distances[12] > 0

    def search(*filters, **order):
        filters = [dict(zip(("Name", "Operator", "Value"), found)) for found in filters]
        results = jobs.sagemaker.search(Resource="TrainingJob", SearchExpression={"Filters": filters}, **order)["Results"]
        return [result["TrainingJob"]["TrainingJobName"] for result in results]

    ours = ("Tags.sweep", "Equals", "centres")
    assert search(ours, ("HyperParameters.k", "Equals", "8")) == ["sweep-8"]
    by_distance = {"SortBy": "Metrics.test:msd", "SortOrder": "Ascending"}
    assert search(ours, **by_distance) == ["sweep-12", "sweep-8", "sweep-4"]
    assert search(ours, ("Metrics.test:msd", "LessThan", str(distances[8])), **by_distance) == ["sweep-12"]
    listed = lambda **asked: {
        summary["TrainingJobName"]
        for summary in jobs.sagemaker.list_training_jobs(NameContains="sweep-", **asked)["TrainingJobSummaries"]
    }
    assert listed(StatusEquals="Completed") == {"sweep-4", "sweep-8", "sweep-12"} and listed(StatusEquals="Failed") == set()
    after = found[12]["CreationTime"]
    assert "sweep-4" in listed(CreationTimeBefore=after) and "sweep-4" not in listed(CreationTimeAfter=after)


# Served: what each answers with, by name; the number of values of a row.
ANSWERS = {
    "xgboost": ("predictions", "score", 1),
    "linear-learner": ("predictions", "score", 1),
    "kmeans": ("predictions", "closest_cluster", 1),
    "pca": ("projections", "projection", 5),
    "knn": ("predictions", "predicted_label", 1),
    "factorization-machines": ("predictions", "score", 1),
    "randomcutforest": ("scores", "score", 1),
    "lda": ("predictions", "topic_mixture", 4),
}


@pytest.fixture(scope="module")
def endpoint(jobs):
    """The endpoint of what an algorithm learnt, made once."""
    made = {}

    def of(name):
        if name not in made:
            jobs.completed(f"fit-{name}")
            made[name] = jobs.deploy(f"fit-{name}", name, f"serves-{name}")
        return made[name]

    return of


@pytest.mark.parametrize("name", SETTINGS)
def test_what_is_trained_is_served_in_every_format(jobs, endpoint, name):
    served, (key, field, width) = endpoint(name), ANSWERS[name]
    rows = ROWS[HELD][:20]
    takes = {CSV: harness.to_csv(rows), RECORDS: records(rows), JSON: harness.to_json(rows), LINES: harness.to_json_lines(rows)}
    if name == "xgboost":
        takes = {kind: body for kind, body in takes.items() if kind in (CSV, RECORDS)}
        takes[LIBSVM] = harness.to_libsvm(rows)
    if name == "factorization-machines":
        del takes[CSV]
    values = lambda instance: np.atleast_1d(np.array(instance[field], dtype=np.float64))
    answers = {}
    for kind, asked in takes.items():
        text, answered = jobs.ask(served, asked, kind)
        assert answered == JSON
        answers[kind] = np.array([values(instance) for instance in json.loads(text)[key]])
        assert answers[kind].shape == (20, width) and np.isfinite(answers[kind]).all()
    for kind, answer in answers.items():
        np.testing.assert_allclose(answer, answers[RECORDS], rtol=1e-5, atol=1e-6, err_msg=kind)
    text, _ = jobs.ask(served, takes[RECORDS], RECORDS, LINES)
    of_lines = np.array([values(json.loads(line)) for line in text.splitlines()])
    np.testing.assert_allclose(of_lines, answers[RECORDS], rtol=1e-6)
    if name != "xgboost":
        text, _ = jobs.ask(served, takes[RECORDS], RECORDS, RECORDS)
        of_records = [list(record.label[field].float32_tensor.values) for record in read_records(io.BytesIO(text))]
        np.testing.assert_allclose(of_records, answers[RECORDS], rtol=1e-5, atol=1e-6)
    if name in SUPERVISED:
        assert ((answers[RECORDS][:, 0] > 0.5) == (IS_ZERO[HELD][:20] == 1)).mean() >= 0.95
    if name == "lda":
        np.testing.assert_allclose(answers[RECORDS].sum(axis=1), 1, rtol=1e-5)


def test_neighbours_are_told_who_asks_for_them(jobs, endpoint):
    text, _ = jobs.ask(endpoint("knn"), records(ROWS[HELD][:5]), RECORDS, "application/json; verbose=true")
    squares = ((ROWS[HELD][:5, None] - ROWS[KNOWN]) ** 2).sum(axis=2)
    for instance, distances in zip(json.loads(text)["predictions"], np.sort(squares, axis=1)):
        np.testing.assert_allclose(instance["distances"], distances[:5], rtol=1e-4)
        assert len(instance["labels"]) == 5 and instance["predicted_label"] in instance["labels"]


def test_what_is_trained_is_transformed_with(jobs, endpoint):
    served = endpoint("kmeans")
    jobs.put("transform/in/rows.csv", harness.to_csv(ROWS[HELD]))
    _, outputs = jobs.clients.transform_folder(
        BUCKET, "transform", served, ContentType=CSV, SplitType="Line", Accept=LINES, AssembleWith="Line"
    )
    found = [json.loads(line)["closest_cluster"] for line in outputs["rows.csv.out"].splitlines()]
    answer = json.loads(jobs.ask(served, records(ROWS[HELD]), RECORDS)[0])["predictions"]
    assert found == [row["closest_cluster"] for row in answer] and len(found) == HELD.sum()
