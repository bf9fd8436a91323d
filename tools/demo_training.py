"""The part of the demo that is a user's own script: the SageMaker SDK's estimators train on the digits data, with their logs, and
what they trained is deployed and invoked. Nothing here knows of Clary: the environment has the address."""

import sys

import numpy as np
import sagemaker
from sagemaker.inputs import TrainingInput
from sagemaker.s3 import S3Uploader
from sagemaker.serializers import CSVSerializer
from sklearn.datasets import load_digits

(role,) = sys.argv[1:]
bucket = "digits"
session = sagemaker.Session(default_bucket=bucket)
session.default_bucket()
rows, labels = load_digits(return_X_y=True)
rows = rows.astype(np.float32)
held = np.arange(len(rows)) % 5 == 0
machine = {"role": role, "instance_count": 1, "instance_type": "ml.m5.large", "sagemaker_session": session}

print(f"{len(rows)} images of 8 × 8 pixels; {held.sum()} are held out", flush=True)

kmeans = sagemaker.KMeans(
    k=10, init_method="kmeans++", data_location=f"s3://{bucket}/kmeans", output_path=f"s3://{bucket}/out", **machine
)
kmeans.fit(kmeans.record_set(rows[~held]), mini_batch_size=500)
predictor = kmeans.deploy(1, "ml.m5.large", endpoint_name="digits-kmeans")
answers = predictor.predict(rows[held])
clusters = np.array([record.label["closest_cluster"].float32_tensor.values[0] for record in answers]).astype(int)
commonest = sum(np.bincount(labels[held][clusters == cluster]).max() for cluster in set(clusters))
print(f"\nK-Means: {commonest / held.sum():.1%} of the held-out images lie in a cluster of mostly their own digit", flush=True)
predictor.delete_endpoint()

channels = {}
for name, part in (("train", ~held), ("validation", held)):
    text = "".join(",".join(map(str, row)) + "\n" for row in np.column_stack([labels, rows])[part])
    uri = f"s3://{bucket}/xgboost/{name}/rows.csv"
    S3Uploader.upload_string_as_file_body(text, uri, sagemaker_session=session)
    channels[name] = TrainingInput(uri, content_type="text/csv")
xgboost = sagemaker.estimator.Estimator(
    sagemaker.image_uris.retrieve("xgboost", session.boto_region_name, version="1.7-1"),
    hyperparameters={"objective": "multi:softmax", "num_class": 10, "num_round": 30, "max_depth": 4},
    output_path=f"s3://{bucket}/out",
    **machine,
)
xgboost.fit(channels)
predictor = xgboost.deploy(1, "ml.m5.large", endpoint_name="digits-xgboost", serializer=CSVSerializer())
answers = np.array(predictor.predict(rows[held]).decode().split(), dtype=float)
print(f"\nXGBoost: {(answers == labels[held]).mean():.1%} of the held-out images are read right", flush=True)
predictor.delete_endpoint()
