"""`clary up` and its clients: what every test of endpoints shares."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

import boto3
import botocore.config

import harness

REGION = "us-east-1"
ACCOUNT = "000000000000"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/clary"
BUCKET = "models"
# By its repository name alone; the registry in front of it means nothing here.
XGBOOST_IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:1.7-1"

# What any key pair stands in for while the server asks for none.
KEYS = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}

# The longest wait of a waiter: one look a tenth of a second, for half a minute.
WAITER = {"Delay": 0.1, "MaxAttempts": 300}


def up(data, *arguments, environment=None):
    """A platform over the directory `data`, on a free port; use as a context."""
    return harness.Server(["up", "--listen", "127.0.0.1:0", "--data", data, *arguments], environment)


def client(server, service, **options):
    """A boto3 client of one of its services: nothing is asked of it but the address."""
    config = options.pop("config", botocore.config.Config(retries={"total_max_attempts": 1}))
    options = {"region_name": REGION, **KEYS, **options}
    return boto3.client(service, endpoint_url=server.url, config=config, **options)


def environment(server):
    """The variables that point any AWS client at it."""
    return {
        "AWS_ENDPOINT_URL": server.url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


# What the SDKs need to be told beside the address: their own telemetry client does not honour it.
SDK_CONFIG = """SchemaVersion: '1.0'
SageMaker:
  PythonSDK:
    Modules:
      TelemetryOptOut: true
"""
# Users' scripts, and what shortens the naps of the SDKs' polling loops for them.
FLOWS = pathlib.Path(__file__).parent / "flows"


def user_environment(server, home):
    """All that a user's script knows of the world, with its home in the folder `home`."""
    (home / "config.yaml").write_text(SDK_CONFIG)
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "PYTHONPATH": str(FLOWS / "quick"),
        "SAGEMAKER_USER_CONFIG_OVERRIDE": str(home / "config.yaml"),
        "SAGEMAKER_SUPPRESS_V2_WARNING": "1",
        **environment(server),
    }


# A script that takes longer hangs. Reason: each takes some twenty seconds, half of them imports.
FLOW_S_MAX = 300


def run_flow(server, home, name, *arguments, python=sys.executable):
    """Runs a user's script; gives the JSON that its last line prints, behind the SDK's own marks of progress."""
    done = subprocess.run(
        [python, FLOWS / f"{name}.py", *arguments],
        env=user_environment(server, home),
        cwd=home,
        capture_output=True,
        text=True,
        timeout=FLOW_S_MAX,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    last = done.stdout.strip().splitlines()[-1]
    return json.loads(last[last.index("{") :])


def variant(model, weight=1.0, count=1, **further):
    """A ProductionVariant of instances, but for its name."""
    return {
        "ModelName": model,
        "InitialInstanceCount": count,
        "InstanceType": "ml.m5.large",
        "InitialVariantWeight": weight,
        **further,
    }


# Where each member of a CreateTransformJob stands, by its own name, which is enough to say it.
TRANSFORM_MEMBERS = {
    "TransformInput": ("ContentType", "CompressionType", "SplitType"),
    "TransformOutput": ("Accept", "AssembleWith", "KmsKeyId"),
    "DataProcessing": ("InputFilter", "OutputFilter", "JoinSource"),
    "ModelClientConfig": ("InvocationsTimeoutInSeconds", "InvocationsMaxRetries"),
}


def transform_request(name, model, source, output, kind="S3Prefix", **members):
    """A CreateTransformJob; `members` are flat."""
    place = {"S3DataSource": {"S3DataType": kind, "S3Uri": source}}
    request = {
        "TransformJobName": name,
        "ModelName": model,
        "TransformInput": {"DataSource": place},
        "TransformOutput": {"S3OutputPath": output},
        "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
    }
    homes = {member: home for home, members_of in TRANSFORM_MEMBERS.items() for member in members_of}
    for member, value in members.items():
        place = request.setdefault(homes[member], {}) if member in homes else request
        place[member] = value
    return request


class Clients:
    """One client of each service, and the usual calls in a row."""

    def __init__(self, server, **options):
        self.server = server
        self.sagemaker = client(server, "sagemaker", **options)
        self.runtime = client(server, "sagemaker-runtime", **options)
        self.s3 = client(server, "s3", **options)

    def upload(self, booster, key="model.tar.gz", bucket=BUCKET):
        """Packs a booster and puts it into the store; gives its address."""
        with tempfile.TemporaryDirectory() as scratch:
            folder = harness.save(booster, pathlib.Path(scratch) / "model")
            path = harness.archive(folder, pathlib.Path(scratch) / "model.tar.gz")
            self.s3.create_bucket(Bucket=bucket)
            self.s3.upload_file(str(path), bucket, key)
        return f"s3://{bucket}/{key}"

    def create_model(self, name, url, image=XGBOOST_IMAGE, **container):
        container = {"Image": image, "ModelDataUrl": url, **container}
        self.sagemaker.create_model(ModelName=name, PrimaryContainer=container, ExecutionRoleArn=ROLE)
        return name

    def create_config(self, name, variants, **further):
        """`variants`: name -> (model, weight), or the whole of a ProductionVariant."""
        self.sagemaker.create_endpoint_config(
            EndpointConfigName=name,
            ProductionVariants=[_named(name, what) for name, what in variants.items()],
            **further,
        )
        return name

    def create_endpoint(self, name, config, **further):
        """Creates it and waits until it serves."""
        self.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config, **further)
        return self.in_service(name)

    def in_service(self, name):
        """Waits for it; gives its description."""
        self.sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=name, WaiterConfig=WAITER)
        return self.sagemaker.describe_endpoint(EndpointName=name)

    def delete_endpoint(self, name):
        """Deletes it and waits until it is gone."""
        self.sagemaker.delete_endpoint(EndpointName=name)
        self.sagemaker.get_waiter("endpoint_deleted").wait(EndpointName=name, WaiterConfig=WAITER)

    def deploy(self, name, url, weights=None):
        """A model, a configuration and an endpoint, all of one name."""
        self.create_model(name, url)
        self.create_config(name, {"AllTraffic": (name, 1.0)} if weights is None else weights)
        return self.create_endpoint(name, name)

    def predict(self, endpoint, rows, **headers):
        """The scores of `rows`, and the variant that gave them."""
        answer = self.runtime.invoke_endpoint(
            EndpointName=endpoint,
            Body=harness.to_csv(rows),
            ContentType="text/csv",
            Accept="application/json",
            **headers,
        )
        predictions = json.loads(answer["Body"].read())["predictions"]
        return [row["score"] for row in predictions], answer["InvokedProductionVariant"]

    def transform(self, name, model, source, output, expected="Completed", **members):
        """A transform job, waited for; gives its description, once its status is what is expected."""
        self.sagemaker.create_transform_job(**transform_request(name, model, source, output, **members))
        return self.transformed(name, expected)

    def transformed(self, name, expected="Completed"):
        """Waits for the end of a transform job, however it ends."""
        describe = lambda: self.sagemaker.describe_transform_job(TransformJobName=name)
        self.server.wait_until(lambda: describe()["TransformJobStatus"] not in ("InProgress", "Stopping"))
        described = describe()
        assert described["TransformJobStatus"] == expected, described
        return described

    def transform_folder(self, bucket, name, model, source=None, expected="Completed", **members):
        """A job to `<name>/out` of a bucket, from `<name>/in/` of it where no source is given; gives its description and its
        outputs."""
        source = f"s3://{bucket}/{name}/in/" if source is None else source
        described = self.transform(name, model, source, f"s3://{bucket}/{name}/out", expected, **members)
        return described, self.outputs(bucket, name)

    def outputs(self, bucket, name):
        """The objects below `<name>/out/` of a bucket, by their names there."""
        folder = f"{name}/out/"
        return {key.removeprefix(folder): body for key, body in self.objects(bucket, folder).items()}

    def transform_logs(self, name):
        """The messages of a transform job by their streams, which are sorted."""
        logs, group = client(self.server, "logs"), {"logGroupName": "/aws/sagemaker/TransformJobs"}
        found = logs.describe_log_streams(**group, logStreamNamePrefix=f"{name}/", orderBy="LogStreamName")
        streams = [stream["logStreamName"] for stream in found["logStreams"]]
        read = lambda stream: logs.get_log_events(**group, logStreamName=stream, startFromHead=True)["events"]
        return {stream: [event["message"] for event in read(stream)] for stream in streams}

    def objects(self, bucket, prefix=""):
        """The keys below a prefix, and the bytes of each."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
        return {key: self.s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}


def _named(name, what):
    model = what if isinstance(what, dict) else variant(*what)
    return {"VariantName": name, **model}
