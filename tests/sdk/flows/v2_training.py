"""SageMaker SDK v2: an estimator as its documentation shows it: fitted with its logs, attached to, looked at, deployed, and used
for a batch transform; then one that fails, and one that is stopped."""

import contextlib
import io
import json
import sys

import numpy as np
import sagemaker
from sagemaker.deserializers import CSVDeserializer
from sagemaker.estimator import Estimator
from sagemaker.exceptions import UnexpectedStatusException
from sagemaker.inputs import TrainingInput
from sagemaker.s3 import S3Downloader, S3Uploader
from sagemaker.serializers import CSVSerializer

rows_file, role = sys.argv[1:]
table = np.load(rows_file)
bucket = "flow-v2-training"

session = sagemaker.Session(default_bucket=bucket)
session.default_bucket()
image = sagemaker.image_uris.retrieve("xgboost", session.boto_region_name, version="1.7-1")


def csv(rows):
    return "".join(",".join(map(str, row)) + "\n" for row in rows)


def upload(name, text):
    return S3Uploader.upload_string_as_file_body(text, f"s3://{bucket}/{name}", sagemaker_session=session)


def estimator(**settings):
    made = Estimator(
        image_uri=image,
        role=role,
        instance_count=1,
        instance_type="ml.m5.large",
        volume_size=1,
        max_run=600,
        output_path=f"s3://{bucket}/out",
        base_job_name="flow-v2-training",
        sagemaker_session=session,
        tags=[{"Key": "team", "Value": "flows"}],
    )
    made.set_hyperparameters(**settings)
    return made


held = np.arange(len(table)) % 5 == 0
data = {
    "train": TrainingInput(upload("train/rows.csv", csv(table[~held])), content_type="text/csv"),
    "validation": TrainingInput(upload("validation/rows.csv", csv(table[held])), content_type="text/csv"),
}
good = estimator(objective="binary:logistic", num_round=20, max_depth=3, eval_metric="auc")
with contextlib.redirect_stdout(io.StringIO()) as printed:
    good.fit(data, logs="All")
job = good.latest_training_job.name
metrics = good.training_job_analytics.dataframe()
last = metrics.groupby("metric_name")["value"].last()

rows = table[:20, 1:]


def deployed(fitted):
    predictor = fitted.deploy(1, "ml.m5.large", serializer=CSVSerializer(), deserializer=CSVDeserializer())
    scores = [float(value) for row in predictor.predict(rows) for value in row]
    predictor.delete_model()
    predictor.delete_endpoint()
    return scores


with contextlib.redirect_stdout(io.StringIO()):
    attached = Estimator.attach(job, sagemaker_session=session)
    scores = deployed(good)
    attached_scores = deployed(attached)
    transformer = good.transformer(1, "ml.m5.large", strategy="MultiRecord", assemble_with="Line", accept="text/csv")
    transformer.transform(upload("batch/rows.csv", csv(rows)), content_type="text/csv", split_type="Line", logs=True)
transformed = S3Downloader.read_file(f"{transformer.output_path}/rows.csv.out", session)

try:
    with contextlib.redirect_stdout(io.StringIO()):
        estimator(num_round=1, no_such_thing=1).fit(data)
    failure = None
except UnexpectedStatusException as error:
    failure = str(error)

slow = estimator(objective="binary:logistic", num_round=1_000_000)
slow.fit(data, wait=False)
slow.latest_training_job.stop()
slow.latest_training_job.wait(logs=False)
print(
    json.dumps(
        {
            "printed": printed.getvalue(),
            "model": good.model_data,
            "attached": attached.model_data,
            "metrics": last.to_dict(),
            "scores": scores,
            "attached_scores": attached_scores,
            "transformed": [float(line) for line in transformed.split()],
            "failure": failure,
            "stopped": slow.latest_training_job.describe()["TrainingJobStatus"],
        }
    )
)
