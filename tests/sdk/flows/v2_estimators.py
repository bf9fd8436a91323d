"""SageMaker SDK v2: an estimator of a built-in algorithm, as its documentation shows it: record_set, fit with its logs, deploy,
predict, transform; then attached to again. The digits data."""

import contextlib
import io
import json
import sys

import numpy as np
import sagemaker
from sagemaker.inputs import TrainingInput
from sagemaker.s3 import S3Downloader, S3Uploader
from sagemaker.serializers import CSVSerializer
from sklearn.datasets import load_digits

name, role = sys.argv[1:]
bucket = f"flow-v2-{name}"
session = sagemaker.Session(default_bucket=bucket)
session.default_bucket()
rows, labels = load_digits(return_X_y=True)
rows, labels = rows.astype(np.float32), labels.astype(np.float32)
held = np.arange(len(rows)) % 5 == 0
common = {
    "role": role,
    "instance_count": 1,
    "instance_type": "ml.m5.large",
    "output_path": f"s3://{bucket}/out",
    "sagemaker_session": session,
}


def amazon(kind, **settings):
    return kind(data_location=f"s3://{bucket}/data", **common, **settings)


def xgboost():
    image = sagemaker.image_uris.retrieve("xgboost", session.boto_region_name, version="1.7-1")
    settings = {"objective": "multi:softmax", "num_class": 10, "num_round": 20, "max_depth": 4}
    estimator = sagemaker.estimator.Estimator(image, hyperparameters=settings, **common)
    channels = {}
    for channel, part in (("train", ~held), ("validation", held)):
        text = "".join(",".join(map(str, row)) + "\n" for row in np.column_stack([labels, rows])[part])
        uri = f"s3://{bucket}/csv/{channel}/rows.csv"
        S3Uploader.upload_string_as_file_body(text, uri, sagemaker_session=session)
        channels[channel] = TrainingInput(uri, content_type="text/csv")
    return estimator, channels


ESTIMATORS = {
    "linear-learner": lambda: amazon(
        sagemaker.LinearLearner, predictor_type="multiclass_classifier", num_classes=10, epochs=5
    ),
    "kmeans": lambda: amazon(sagemaker.KMeans, k=10, init_method="kmeans++"),
    "pca": lambda: amazon(sagemaker.PCA, num_components=3),
    "knn": lambda: amazon(sagemaker.KNN, k=5, sample_size=2000, predictor_type="classifier"),
    "factorization-machines": lambda: amazon(
        sagemaker.FactorizationMachines,
        num_factors=10,
        predictor_type="binary_classifier",
        epochs=20,
        bias_lr=0.1,
        linear_lr=0.01,
        factors_lr=0.01,
    ),
    "randomcutforest": lambda: amazon(sagemaker.RandomCutForest, num_samples_per_tree=20, num_trees=50),
    "lda": lambda: amazon(sagemaker.LDA, num_topics=5),
}
# What each is asked for by name.
FIELD = {
    "xgboost": None,
    "linear-learner": "predicted_label",
    "kmeans": "closest_cluster",
    "pca": "projection",
    "knn": "predicted_label",
    "factorization-machines": "predicted_label",
    "randomcutforest": "score",
    "lda": "topic_mixture",
}
SUPERVISED = {"linear-learner", "knn", "factorization-machines"}

if name == "factorization-machines":
    rows, labels = rows / 16, (labels == 0).astype(np.float32)

printed = io.StringIO()
with contextlib.redirect_stdout(printed):
    if name == "xgboost":
        estimator, inputs = xgboost()
        estimator.fit(inputs, logs="All")
    else:
        estimator = ESTIMATORS[name]()
        known = labels[~held] if name in SUPERVISED else None
        records = estimator.record_set(rows[~held], labels=known)
        size = {"lda": len(rows[~held]), "factorization-machines": 100, "linear-learner": 100}.get(name, 500)
        size = {"mini_batch_size": 1000 if name == "randomcutforest" else size}
        estimator.fit(records, logs=True, **size)
logs = printed.getvalue()

job = session.describe_training_job(estimator.latest_training_job.name)
predictor = estimator.deploy(1, "ml.m5.large", endpoint_name=f"flow-v2-{name}")
if name == "xgboost":
    predictor.serializer = CSVSerializer()
    answers = [[float(line)] for line in predictor.predict(rows[held]).decode().split()]
else:
    records = predictor.predict(rows[held])
    answers = [list(record.label[FIELD[name]].float32_tensor.values) for record in records]

# The one that takes no CSV gets JSON Lines.
is_csv = name != "factorization-machines"
lines = (
    ",".join(map(str, row)) if is_csv else json.dumps({"features": row}) for row in rows[held].tolist()
)
S3Uploader.upload_string_as_file_body("\n".join(lines) + "\n", f"s3://{bucket}/in/rows", sagemaker_session=session)
transformer = estimator.transformer(
    1, "ml.m5.large", assemble_with="Line", accept="text/csv" if name == "xgboost" else "application/jsonlines"
)
with contextlib.redirect_stdout(io.StringIO()):
    transformer.transform(
        f"s3://{bucket}/in/rows",
        content_type="text/csv" if is_csv else "application/jsonlines",
        split_type="Line",
        wait=True,
    )
out = S3Downloader.read_file(f"{transformer.output_path}/rows.out", session)
if name == "xgboost":
    transformed = [[float(line)] for line in out.split()]
else:
    values = [json.loads(line)[FIELD[name]] for line in out.splitlines()]
    transformed = [value if isinstance(value, list) else [value] for value in values]

attached = type(estimator).attach(estimator.latest_training_job.name, sagemaker_session=session)
predictor.delete_model()
predictor.delete_endpoint()
print()
print(
    json.dumps(
        {
            "answers": answers,
            "transformed": transformed,
            "labels": labels[held].tolist(),
            "metrics": {metric["MetricName"]: metric["Value"] for metric in job["FinalMetricDataList"]},
            "model": attached.model_data,
            "logs": logs,
        }
    )
)
