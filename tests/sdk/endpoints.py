"""What the tests of endpoints share: making, asking and counting, and what a refusal is held to."""

import json
import math

import botocore.exceptions
import pytest
import xgboost

import harness
import hosting

ARN = f"arn:aws:sagemaker:{hosting.REGION}:{hosting.ACCOUNT}:endpoint/"


def train(cancer, columns=30, depth=2, rounds=3):
    """A booster of the first columns of the cancer data; another for every setting."""
    rows, labels = cancer
    data = xgboost.DMatrix(rows[:, :columns], labels)
    return xgboost.train({"objective": "binary:logistic", "max_depth": depth, "nthread": 1}, data, rounds)


def refused(call, code, *words, status=400, **arguments):
    """Calls; holds the refusal to its code, its status (unless that is None) and its words, and gives it."""
    with pytest.raises(botocore.exceptions.ClientError) as refusal:
        call(**arguments)
    response = refusal.value.response
    error, metadata = response["Error"], response["ResponseMetadata"]
    assert error["Code"] == code, error
    assert status in (None, metadata["HTTPStatusCode"]), response
    for words_expected in words:
        assert words_expected in error["Message"], error["Message"]
    return response


def invoke(platform, endpoint, body="", client=None, **further):
    """One call of the runtime, of CSV unless it says otherwise."""
    arguments = {"EndpointName": endpoint, "Body": body, "ContentType": "text/csv", **further}
    return (client or platform.runtime).invoke_endpoint(**arguments)


def describe(platform, name):
    """An endpoint's description; no member of it is null, which typed clients would refuse."""
    request = {"X-Amz-Target": "SageMaker.DescribeEndpoint", "Content-Type": "application/x-amz-json-1.1"}
    plain = platform.server.session.post(
        platform.server.url, data=json.dumps({"EndpointName": name}), headers=request, timeout=harness.WAIT_S
    )
    assert "null" not in plain.text, plain.text
    return platform.sagemaker.describe_endpoint(EndpointName=name)


def summaries(described, *members):
    """Of each production variant, these members."""
    return {
        summary["VariantName"]: tuple(summary[member] for member in members)
        for summary in described["ProductionVariants"]
    }


def counts(platform, endpoint, row, calls, **further):
    """How many of so many calls each variant answers."""
    found = {}
    for _ in range(calls):
        name = invoke(platform, endpoint, row, **further)["InvokedProductionVariant"]
        found[name] = found.get(name, 0) + 1
    return found


def check_share(found, calls, share):
    """Within four and a half standard deviations: one run in a hundred thousand is not."""
    assert abs(found - calls * share) <= 4.5 * math.sqrt(calls * share * (1 - share)), (found, calls, share)


def adjust(platform, name, **variants):
    """UpdateEndpointWeightsAndCapacities; `variants`: name -> what is desired of it."""
    desired = [{"VariantName": variant, **what} for variant, what in variants.items()]
    return platform.sagemaker.update_endpoint_weights_and_capacities(
        EndpointName=name, DesiredWeightsAndCapacities=desired
    )
