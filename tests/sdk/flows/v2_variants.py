"""SageMaker SDK v2: two weighted variants behind one endpoint, one of them named by the request, weights shifted."""

import json
import sys
from collections import Counter

import numpy as np
import sagemaker
from sagemaker.deserializers import JSONDeserializer
from sagemaker.model import Model
from sagemaker.predictor import Predictor
from sagemaker.serializers import CSVSerializer

archive, rows_file, role = sys.argv[1:]
row = np.load(rows_file)[:1]

session = sagemaker.Session(default_bucket="flow-v2-variants")
image = sagemaker.image_uris.retrieve("xgboost", session.boto_region_name, version="1.7-1")
variants = []
for name, weight in [("a", 9), ("b", 1)]:
    model = Model(
        image_uri=image,
        model_data=session.upload_data(archive, key_prefix=name),
        role=role,
        name=f"flow-v2-variants-{name}",
        sagemaker_session=session,
    )
    model.create(instance_type="ml.m5.large")
    variants.append(
        sagemaker.session.production_variant(
            model_name=model.name, instance_type="ml.m5.large", variant_name=name, initial_weight=weight
        )
    )
session.endpoint_from_production_variants(name="flow-v2-variants", production_variants=variants)
predictor = Predictor(
    "flow-v2-variants", sagemaker_session=session, serializer=CSVSerializer(), deserializer=JSONDeserializer()
)
runtime = session.sagemaker_runtime_client
body = CSVSerializer().serialize(row)


def split(calls):
    answers = (
        runtime.invoke_endpoint(EndpointName="flow-v2-variants", Body=body, ContentType="text/csv") for _ in range(calls)
    )
    return Counter(answer["InvokedProductionVariant"] for answer in answers)


before = split(300)
named = predictor.predict(row, target_variant="b")
session.sagemaker_client.update_endpoint_weights_and_capacities(
    EndpointName="flow-v2-variants",
    DesiredWeightsAndCapacities=[{"VariantName": "a", "DesiredWeight": 0}, {"VariantName": "b", "DesiredWeight": 1}],
)
session.wait_for_endpoint("flow-v2-variants")
after = split(50)
predictor.delete_endpoint()
print(json.dumps({"before": before, "named": named, "after": after}))
