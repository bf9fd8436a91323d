"""SageMaker SDK v3: ModelTrainer trains XGBoost's built-in image and its own k-means; ModelBuilder deploys what it trained."""

import json
import sys

import boto3
import numpy as np
from sagemaker.core.training.configs import Compute, InputData
from sagemaker.core.shapes import OutputDataConfig, S3DataSource, StoppingCondition
from sagemaker.core.helper.session_helper import Session
from sagemaker.serve import ModelBuilder
from sagemaker.train import ModelTrainer
from sklearn.datasets import load_digits

role = sys.argv[1]
bucket = "flow-v3-trainer"
rows, labels = load_digits(return_X_y=True)
held = np.arange(len(rows)) % 5 == 0
s3 = boto3.client("s3")
s3.create_bucket(Bucket=bucket)
session = Session(default_bucket=bucket)


def csv(table):
    return "".join(",".join(map(str, row)) + "\n" for row in table)


table = np.column_stack([labels, rows])
s3.put_object(Bucket=bucket, Key="xgboost/train/rows.csv", Body=csv(table[~held]))
s3.put_object(Bucket=bucket, Key="xgboost/validation/rows.csv", Body=csv(table[held]))
s3.put_object(Bucket=bucket, Key="kmeans/train/rows.csv", Body=csv(rows[~held]))


def trainer(image, settings):
    return ModelTrainer(
        training_image=image,
        role=role,
        sagemaker_session=session,
        base_job_name="flow-v3-trainer",
        hyperparameters=settings,
        compute=Compute(instance_type="ml.m5.large", instance_count=1, volume_size_in_gb=10),
        output_data_config=OutputDataConfig(s3_output_path=f"s3://{bucket}/out"),
        stopping_condition=StoppingCondition(max_runtime_in_seconds=600),
    )


def channel(name, prefix, content_type, distribution="FullyReplicated"):
    source = S3DataSource(
        s3_data_type="S3Prefix", s3_uri=f"s3://{bucket}/{prefix}", s3_data_distribution_type=distribution
    )
    return InputData(channel_name=name, data_source=source, content_type=content_type)


XGBOOST = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:1.7-1"
KMEANS = "382416733822.dkr.ecr.us-east-1.amazonaws.com/kmeans:1"
boosted = trainer(XGBOOST, {"objective": "multi:softmax", "num_class": 10, "num_round": 20, "max_depth": 4})
boosted.train(
    input_data_config=[
        channel("train", "xgboost/train/", "text/csv"),
        channel("validation", "xgboost/validation/", "text/csv"),
    ],
    wait=True,
    logs=True,
)
clustered = trainer(KMEANS, {"k": 10, "feature_dim": 64, "mini_batch_size": 500})
clustered.train(
    input_data_config=[channel("train", "kmeans/train/", "text/csv;label_size=0", "ShardedByS3Key")], wait=True
)
job = boosted._latest_training_job
builder = ModelBuilder(
    model=boosted, role_arn=role, image_uri=XGBOOST, instance_type="ml.m5.large", sagemaker_session=session
)
builder.build(model_name="flow-v3-trainer")
endpoint = builder.deploy(endpoint_name="flow-v3-trainer", initial_instance_count=1, instance_type="ml.m5.large")
answer = endpoint.invoke(body=csv(rows[held]).encode(), content_type="text/csv", accept="text/csv")
answer = answer.body.read().decode()
transformer = builder.transformer(
    instance_count=1,
    instance_type="ml.m5.large",
    strategy="MultiRecord",
    assemble_with="Line",
    output_path=f"s3://{bucket}/transformed",
    accept="text/csv",
)
s3.put_object(Bucket=bucket, Key="in/rows.csv", Body=csv(rows[held]))
transformer.transform(f"s3://{bucket}/in/", content_type="text/csv", split_type="Line", wait=True)
print()
print(
    json.dumps(
        {
            "answers": answer,
            "transformed": s3.get_object(Bucket=bucket, Key="transformed/rows.csv.out")["Body"].read().decode(),
            "labels": labels[held].tolist(),
            "status": job.training_job_status,
            "kmeans": clustered._latest_training_job.training_job_status,
            "metrics": {metric.metric_name: metric.value for metric in job.final_metric_data_list},
        }
    )
)
