"""SageMaker SDK v3: the resource classes, from model to endpoint to invocation and back."""

import json
import sys
import time

import boto3
import numpy as np
from sagemaker.core.resources import Endpoint, EndpointConfig, Model
from sagemaker.core.shapes import ContainerDefinition, DesiredWeightAndCapacity, ProductionVariant

archive, rows_file, role = sys.argv[1:]
rows = np.load(rows_file)
body = "\n".join(",".join(map(str, row)) for row in rows).encode()

s3 = boto3.client("s3")
s3.create_bucket(Bucket="flow-v3-resources")
s3.upload_file(archive, "flow-v3-resources", "model.tar.gz")
image = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:1.7-1"
name = "flow-v3-resources"
model = Model.create(
    model_name=name,
    primary_container=ContainerDefinition(image=image, model_data_url="s3://flow-v3-resources/model.tar.gz"),
    execution_role_arn=role,
)


def variant(variant_name, weight):
    return ProductionVariant(
        variant_name=variant_name,
        model_name=name,
        initial_instance_count=1,
        instance_type="ml.m5.large",
        initial_variant_weight=weight,
    )


config = EndpointConfig.create(endpoint_config_name=name, production_variants=[variant("a", 1.0), variant("b", 3.0)])
endpoint = Endpoint.create(endpoint_name=name, endpoint_config_name=name)
endpoint.wait_for_status("InService")
first = endpoint.invoke(body=body, content_type="text/csv", accept="text/csv", target_variant="a")
endpoint.update_weights_and_capacities(
    desired_weights_and_capacities=[
        DesiredWeightAndCapacity(variant_name="a", desired_weight=3.0),
        DesiredWeightAndCapacity(variant_name="b", desired_weight=1.0),
    ]
)
endpoint.wait_for_status("InService")
second = endpoint.invoke(body=body, content_type="text/csv", accept="text/csv", target_variant="b")
endpoint.refresh()
listed = [each.endpoint_name for each in Endpoint.get_all(name_contains=name)]
result = {
    "scores": first.body.read().decode(),
    "first": first.invoked_production_variant,
    "second": second.invoked_production_variant,
    "weights": {each.variant_name: each.current_weight for each in endpoint.production_variants},
    "listed": listed,
    "status": Endpoint.get(endpoint_name=name).endpoint_status,
}
endpoint.delete()
try:
    for _ in range(300):
        Endpoint.get(endpoint_name=name)
        time.sleep(0.1)
    result["gone"] = False
except Exception as error:  # Whatever class the SDK wraps it in, the text tells.
    result["gone"] = "Could not find" in str(error)
config.delete()
model.delete()
print(json.dumps(result))
