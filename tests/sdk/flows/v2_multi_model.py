"""SageMaker SDK v2: a multi-model endpoint; models added while it serves, each named by the request."""

import json
import sys

import numpy as np
import sagemaker
from sagemaker.deserializers import CSVDeserializer
from sagemaker.multidatamodel import MultiDataModel
from sagemaker.predictor import Predictor
from sagemaker.serializers import CSVSerializer

archive, rows_file, role = sys.argv[1:]
rows = np.load(rows_file)

session = sagemaker.Session(default_bucket="flow-v2-multi-model")
image = sagemaker.image_uris.retrieve("xgboost", session.boto_region_name, version="1.7-1")
models = MultiDataModel(
    name="flow-v2-multi-model",
    model_data_prefix="s3://flow-v2-multi-model/models/",
    image_uri=image,
    role=role,
    predictor_cls=Predictor,
    sagemaker_session=session,
)
session.upload_data(archive, key_prefix="elsewhere")
predictor = models.deploy(
    1,
    "ml.m5.large",
    endpoint_name="flow-v2-multi-model",
    serializer=CSVSerializer(),
    deserializer=CSVDeserializer(),
)
models.add_model(model_data_source=archive, model_data_path="local.tar.gz")
models.add_model(model_data_source="s3://flow-v2-multi-model/elsewhere/model.tar.gz", model_data_path="copied.tar.gz")
listed = sorted(models.list_models())
local = predictor.predict(rows, target_model="local.tar.gz")
copied = predictor.predict(rows, target_model="copied.tar.gz")
try:
    predictor.predict(rows, target_model="absent.tar.gz")
    refused = None
except predictor.sagemaker_session.sagemaker_runtime_client.exceptions.ClientError as error:
    refused = error.response["Error"]["Message"]
predictor.delete_endpoint()
print(json.dumps({"listed": listed, "local": local, "copied": copied, "refused": refused}))
