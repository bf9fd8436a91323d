"""SageMaker SDK v2: asynchronous inference; the input goes to S3, the answer comes from there."""

import json
import sys

import numpy as np
import sagemaker
from sagemaker.async_inference import AsyncInferenceConfig, WaiterConfig
from sagemaker.deserializers import CSVDeserializer
from sagemaker.model import Model
from sagemaker.predictor import Predictor
from sagemaker.serializers import CSVSerializer

archive, rows_file, role = sys.argv[1:]
rows = np.load(rows_file)

session = sagemaker.Session(default_bucket="flow-v2-async")
image = sagemaker.image_uris.retrieve("xgboost", session.boto_region_name, version="1.7-1")
model = Model(
    image_uri=image,
    model_data=session.upload_data(archive, key_prefix="models"),
    role=role,
    predictor_cls=Predictor,
    sagemaker_session=session,
)
predictor = model.deploy(
    1,
    "ml.m5.large",
    endpoint_name="flow-v2-async",
    async_inference_config=AsyncInferenceConfig(
        output_path="s3://flow-v2-async/out", failure_path="s3://flow-v2-async/failed", max_concurrent_invocations_per_instance=4
    ),
    serializer=CSVSerializer(),
    deserializer=CSVDeserializer(),
)
answer = predictor.predict_async(data=rows)
scores = answer.get_result(WaiterConfig(max_attempts=200, delay=0.1))
failing = predictor.predict_async(data=rows[:, :3], initial_args={"ContentType": "text/libsvm"})
try:
    failing.get_result(WaiterConfig(max_attempts=200, delay=0.1))
    failure = None
except Exception as error:  # The SDK's own class, whose text is what matters.
    failure = f"{type(error).__name__}: {error}"
predictor.delete_endpoint()
print(json.dumps({"scores": scores, "output": answer.output_path, "failure": failure}))
