"""SageMaker SDK v2, as its documentation shows it: upload, deploy, predict, stream, update, clean up."""

import json
import sys

import numpy as np
import sagemaker
from sagemaker.deserializers import CSVDeserializer
from sagemaker.model import Model
from sagemaker.predictor import Predictor
from sagemaker.serializers import CSVSerializer

archive, rows_file, role = sys.argv[1:]
rows = np.load(rows_file)

session = sagemaker.Session(default_bucket="flow-v2-deploy")
model_data = session.upload_data(archive, key_prefix="models/one")
image = sagemaker.image_uris.retrieve("xgboost", session.boto_region_name, version="1.7-1")
model = Model(image_uri=image, model_data=model_data, role=role, predictor_cls=Predictor, sagemaker_session=session)
predictor = model.deploy(
    initial_instance_count=1,
    instance_type="ml.m5.large",
    serializer=CSVSerializer(),
    deserializer=CSVDeserializer(),
    tags=[{"Key": "team", "Value": "flows"}],
)
scores = predictor.predict(rows, inference_id="row-1", custom_attributes="a=1")
streamed = b"".join(
    event["PayloadPart"]["Bytes"]
    for event in session.sagemaker_runtime_client.invoke_endpoint_with_response_stream(
        EndpointName=predictor.endpoint_name, Body=CSVSerializer().serialize(rows), ContentType="text/csv", Accept="text/csv"
    )["Body"]
)
predictor.update_endpoint(initial_instance_count=2, instance_type="ml.m5.xlarge")
description = session.describe_endpoint(predictor.endpoint_name)
again = predictor.predict(rows)
monitors = predictor.list_monitors()
predictor.delete_model()
predictor.delete_endpoint(delete_endpoint_config=True)
left = session.sagemaker_client.list_endpoints(NameContains=predictor.endpoint_name)["Endpoints"]
print(
    json.dumps(
        {
            "scores": scores,
            "again": again,
            "streamed": streamed.decode(),
            "instances": description["ProductionVariants"][0]["CurrentInstanceCount"],
            "monitors": len(monitors),
            "left": [endpoint["EndpointStatus"] for endpoint in left if endpoint["EndpointStatus"] != "Deleting"],
        }
    )
)
