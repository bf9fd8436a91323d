"""SageMaker's control plane by real boto3: making, describing, listing, changing and deleting, and what is said to what
cannot be done."""

import datetime
import threading

import botocore.config
import botocore.exceptions
import pytest

import hosting
from endpoints import refused

ARN = f"arn:aws:sagemaker:{hosting.REGION}:{hosting.ACCOUNT}:"
SERVERLESS = {"MemorySizeInMB": 2048, "MaxConcurrency": 5}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with hosting.up(tmp_path_factory.mktemp("data")) as server:
        yield server


@pytest.fixture(scope="module")
def clients(server):
    return hosting.Clients(server)


@pytest.fixture(scope="module")
def sagemaker(clients):
    return clients.sagemaker


@pytest.fixture(scope="module")
def url(clients, booster):
    return clients.upload(booster)


@pytest.fixture(scope="module")
def model(clients, url):
    return clients.create_model("common", url)


def variant(model, name="A", **further):
    return {"VariantName": name, "ModelName": model, "InstanceType": "ml.m5.large", "InitialInstanceCount": 1, **further}


def invalid(call, *words, **arguments):
    """Calls; it is refused as a ValidationException, in these words."""
    refused(call, "ValidationException", *words, status=None, **arguments)


def names(pages, member, name):
    return [item[name] for page in pages for item in page[member]]


# What does not exist, and what exists already.


def test_what_does_not_exist_is_named_by_its_arn(sagemaker, model):
    no_model = f'Could not find model "{ARN}model/none".'
    no_config = f'Could not find endpoint configuration "{ARN}endpoint-config/none".'
    no_endpoint = f'Could not find endpoint "{ARN}endpoint/none".'
    for call in (sagemaker.describe_model, sagemaker.delete_model):
        invalid(call, no_model, ModelName="none")
    for call in (sagemaker.describe_endpoint_config, sagemaker.delete_endpoint_config):
        invalid(call, no_config, EndpointConfigName="none")
    for call in (sagemaker.describe_endpoint, sagemaker.delete_endpoint):
        invalid(call, no_endpoint, EndpointName="none")
    invalid(sagemaker.create_endpoint_config, no_model, EndpointConfigName="c", ProductionVariants=[variant("none")])
    invalid(sagemaker.create_endpoint, no_config, EndpointName="e", EndpointConfigName="none")
    invalid(sagemaker.update_endpoint, no_endpoint, EndpointName="none", EndpointConfigName="none")
    invalid(
        sagemaker.update_endpoint_weights_and_capacities,
        no_endpoint,
        EndpointName="none",
        DesiredWeightsAndCapacities=[{"VariantName": "A", "DesiredWeight": 1}],
    )
    # Nothing of the refused ones was kept.
    invalid(sagemaker.describe_endpoint_config, "Could not find", EndpointConfigName="c")
    invalid(sagemaker.describe_endpoint, "Could not find", EndpointName="e")


def test_a_name_is_taken_in_any_case(clients, sagemaker, url):
    clients.create_model("Taken", url)
    container = {"Image": hosting.XGBOOST_IMAGE, "ModelDataUrl": url}
    words = f'Cannot create already existing model "{ARN}model/taken".'
    invalid(sagemaker.create_model, words, ModelName="taken", PrimaryContainer=container, ExecutionRoleArn=hosting.ROLE)
    config = {"EndpointConfigName": "taken", "ProductionVariants": [variant("Taken")]}
    sagemaker.create_endpoint_config(**config)
    words = f'Cannot create already existing endpoint configuration "{ARN}endpoint-config/taken".'
    invalid(sagemaker.create_endpoint_config, words, **config)
    # It is described by the name that it was given.
    assert sagemaker.describe_model(ModelName="TAKEN")["ModelName"] == "Taken"
    sagemaker.delete_endpoint_config(EndpointConfigName="taken")
    sagemaker.delete_model(ModelName="taken")
    invalid(sagemaker.describe_model, "Could not find", ModelName="Taken")


def test_of_many_who_make_one_model_one_succeeds(server, url):
    clients = [hosting.Clients(server) for _ in range(12)]
    start, made = threading.Barrier(len(clients)), []

    def make(client):
        start.wait()
        try:
            made.append(client.create_model("raced", url))
        except botocore.exceptions.ClientError as error:
            assert "already existing" in str(error)

    threads = [threading.Thread(target=make, args=[client]) for client in clients]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert made == ["raced"]
    clients[0].sagemaker.delete_model(ModelName="raced")


# Models.


def test_a_models_data_must_be_there(clients, sagemaker, url):
    for missing in (f"s3://{hosting.BUCKET}/none.tar.gz", "s3://no-such-bucket/model.tar.gz"):
        container = {"Image": hosting.XGBOOST_IMAGE, "ModelDataUrl": missing}
        words = f"Could not find model data at {missing}."
        invalid(sagemaker.create_model, words, ModelName="dataless", PrimaryContainer=container)
    # The models of a multi-model container come later.
    prefix = f"s3://{hosting.BUCKET}/none/"
    clients.create_model("many", prefix, Mode="MultiModel")
    assert sagemaker.describe_model(ModelName="many")["PrimaryContainer"]["ModelDataUrl"] == prefix
    sagemaker.delete_model(ModelName="many")
    source = {"S3Uri": url, "S3DataType": "S3Object", "CompressionType": "Gzip"}
    container = {"Image": "clary", "ModelDataSource": {"S3DataSource": source}}
    sagemaker.create_model(ModelName="source", PrimaryContainer=container)
    assert sagemaker.describe_model(ModelName="source")["PrimaryContainer"] == container
    sagemaker.delete_model(ModelName="source")


def test_what_no_model_can_be(sagemaker, url):
    container = {"Image": "xgboost", "ModelDataUrl": url}
    create = lambda *words, **arguments: invalid(sagemaker.create_model, *words, ModelName="wrong", **arguments)
    create("expected PrimaryContainer or Containers, found both", PrimaryContainer=container, Containers=[container])
    create("expected PrimaryContainer or Containers, found neither")
    create("expected an Image, found none", PrimaryContainer={"ModelDataUrl": url})
    create("model packages are not served here", PrimaryContainer={"ModelPackageName": "p"})
    named = [{**container, "ContainerHostname": "one"}] * 2
    create('expected each ContainerHostname once, found "one" twice', Containers=named)
    create("Member must satisfy regular expression pattern: arn:aws", PrimaryContainer=container, ExecutionRoleArn="r" * 20)
    create("at 'primaryContainer.modelDataUrl'", PrimaryContainer={**container, "ModelDataUrl": "file:///etc/passwd"})


# Endpoint configurations.


def test_a_configuration_is_echoed_without_loss(sagemaker, model):
    whole = {
        "ProductionVariants": [
            variant(
                model,
                InitialVariantWeight=0.25,
                RoutingConfig={"RoutingStrategy": "LEAST_OUTSTANDING_REQUESTS"},
                ManagedInstanceScaling={"Status": "ENABLED", "MinInstanceCount": 1, "MaxInstanceCount": 3},
                ModelDataDownloadTimeoutInSeconds=600,
                ContainerStartupHealthCheckTimeoutInSeconds=60,
                VolumeSizeInGB=10,
                EnableSSMAccess=True,
                CoreDumpConfig={"DestinationS3Uri": "s3://b/core"},
            )
        ],
        "ShadowProductionVariants": [variant(model, "S", InitialVariantWeight=1.0)],
        "DataCaptureConfig": {
            "EnableCapture": True,
            "InitialSamplingPercentage": 20,
            "DestinationS3Uri": "s3://b/capture",
            "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
            "CaptureContentTypeHeader": {"CsvContentTypes": ["text/csv"], "JsonContentTypes": ["application/json"]},
        },
        "KmsKeyId": "alias/key",
        "ExecutionRoleArn": hosting.ROLE,
        "VpcConfig": {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]},
        "EnableNetworkIsolation": True,
        "MetricsConfig": {"EnableEnhancedMetrics": True, "MetricPublishFrequencyInSeconds": 60},
    }
    made = sagemaker.create_endpoint_config(EndpointConfigName="whole", Tags=[], **whole)
    described = sagemaker.describe_endpoint_config(EndpointConfigName="whole")
    del described["ResponseMetadata"]
    created = described.pop("CreationTime")
    assert abs((datetime.datetime.now(datetime.timezone.utc) - created).total_seconds()) < 600
    assert described == {"EndpointConfigName": "whole", "EndpointConfigArn": made["EndpointConfigArn"], **whole}
    sagemaker.delete_endpoint_config(EndpointConfigName="whole")


def test_what_no_configuration_can_be(clients, sagemaker, model):
    clients.create_model("many-models", f"s3://{hosting.BUCKET}/", Mode="MultiModel")
    serverless = {"VariantName": "A", "ModelName": model, "ServerlessConfig": SERVERLESS}

    def create(words, *variants, **further):
        arguments = {"EndpointConfigName": "wrong", "ProductionVariants": list(variants), **further}
        invalid(sagemaker.create_endpoint_config, words, **arguments)

    create("expected each VariantName once", variant(model), variant(model))
    create("expected at least one production variant's above 0", variant(model, InitialVariantWeight=0))
    create("expected ServerlessConfig or InstanceType, found both", {**variant(model), **serverless})
    create("expected an InitialInstanceCount", {"VariantName": "A", "ModelName": model, "InstanceType": "ml.m5.large"})
    create("inference components are not served here", {k: v for k, v in variant(model).items() if k != "ModelName"})
    odd = {**serverless, "ServerlessConfig": {**SERVERLESS, "MemorySizeInMB": 1500}}
    create("MemorySizeInMB: expected a multiple of 1024, found 1500", odd)
    create("expected a model of Mode SingleModel", {**serverless, "ModelName": "many-models"})
    shadows = [variant(model, "S"), variant(model, "T")]
    create("found 2 beside 1", variant(model), ShadowProductionVariants=shadows)
    create("found 1 beside 2", variant(model), variant(model, "B"), ShadowProductionVariants=shadows[:1])
    output = {"OutputConfig": {"S3OutputPath": "s3://b/out"}}
    create("expected AsyncInferenceConfig or ServerlessConfig", serverless, AsyncInferenceConfig=output)
    shap = {"ShapConfig": {"ShapBaselineConfig": {}}}
    explainer = {"ClarifyExplainerConfig": shap}
    create("explanations are not served here", variant(model), ExplainerConfig=explainer)
    create("Member must satisfy regular expression pattern: ml", variant(model, InstanceType="m5.large"))
    path = "at 'productionVariants.1.member.initialInstanceCount' failed to satisfy constraint: Member must have value"
    invalid(
        hosting.client(clients.server, "sagemaker", config=_unchecked()).create_endpoint_config,
        path,
        EndpointConfigName="wrong",
        ProductionVariants=[variant(model, InitialInstanceCount=0)],
    )
    invalid(sagemaker.describe_endpoint_config, "Could not find", EndpointConfigName="wrong")
    sagemaker.delete_model(ModelName="many-models")


def _unchecked():
    """For a client that sends what its own checks would stop."""
    return botocore.config.Config(parameter_validation=False, retries={"total_max_attempts": 1})


# Lists.


@pytest.fixture(scope="module")
def listed(clients, url):
    """25 models, made one after another."""
    return [clients.create_model(f"list-{index:02}", url) for index in range(25)]


def list_models(sagemaker, size=7, **arguments):
    pages = sagemaker.get_paginator("list_models").paginate(PaginationConfig={"PageSize": size}, **arguments)
    return names(pages, "Models", "ModelName")


def test_lists_are_sorted_filtered_and_paged(sagemaker, listed):
    ours = {"NameContains": "LIST-"}
    assert list_models(sagemaker, **ours) == listed[::-1]
    assert list_models(sagemaker, SortOrder="Ascending", **ours) == listed
    assert list_models(sagemaker, SortBy="Name", SortOrder="Ascending", **ours) == listed
    assert list_models(sagemaker, SortBy="Name", **ours) == listed[::-1]
    assert list_models(sagemaker, size=100, **ours) == listed[::-1]
    assert list_models(sagemaker, NameContains="list-1") == listed[19:9:-1]
    middle = sagemaker.describe_model(ModelName=listed[12])["CreationTime"]
    after = list_models(sagemaker, CreationTimeAfter=middle, SortOrder="Ascending", **ours)
    before = list_models(sagemaker, CreationTimeBefore=middle, SortOrder="Ascending", **ours)
    # Those of the very same millisecond are neither.
    assert set(after) <= set(listed[13:]) and set(before) <= set(listed[:12])
    assert after and before and after == sorted(after)
    assert list_models(sagemaker, NameContains="no-such-name") == []


def test_configurations_and_endpoints_are_paged_too(clients, sagemaker, model):
    made = [clients.create_config(f"paged-{index}", {"A": (model, 1.0)}) for index in range(5)]
    for name in made:
        sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    arguments = {"NameContains": "paged", "SortBy": "Name", "SortOrder": "Ascending", "PaginationConfig": {"PageSize": 2}}
    for operation, member, name in [
        ("list_endpoint_configs", "EndpointConfigs", "EndpointConfigName"),
        ("list_endpoints", "Endpoints", "EndpointName"),
    ]:
        pages = list(sagemaker.get_paginator(operation).paginate(**arguments))
        assert [len(page[member]) for page in pages] == [2, 2, 1]
        assert names(pages, member, name) == made
    for name in made:
        clients.in_service(name)
        clients.delete_endpoint(name)
        sagemaker.delete_endpoint_config(EndpointConfigName=name)


def test_a_list_stays_true_while_models_come_and_go(clients, sagemaker, listed, url):
    arguments = {"SortBy": "Name", "SortOrder": "Ascending", "NameContains": "list-", "MaxResults": 10}
    first = sagemaker.list_models(**arguments)
    sagemaker.delete_model(ModelName="list-09")
    clients.create_model("list-00-new", url)
    clients.create_model("list-15-new", url)
    rest = names([sagemaker.list_models(**{**arguments, "MaxResults": 100}, NextToken=first["NextToken"])], "Models", "ModelName")
    assert rest == sorted([*listed[10:], "list-15-new"])
    for name in ("list-00-new", "list-15-new"):
        sagemaker.delete_model(ModelName=name)
    clients.create_model("list-09", url)


def test_a_foreign_token_is_refused(sagemaker, listed):
    token = sagemaker.list_models(MaxResults=1)["NextToken"]
    invalid(sagemaker.list_models, "NextToken", NextToken="x" + token)
    invalid(sagemaker.list_models, "NextToken", NextToken=token, SortBy="Name")
    invalid(sagemaker.list_endpoint_configs, "NextToken", NextToken=token)
    invalid(sagemaker.list_tags, "NextToken", ResourceArn=f"{ARN}model/{listed[0]}", NextToken=token)
    invalid(sagemaker.list_models, "at 'maxResults'", MaxResults=101)
    invalid(sagemaker.list_models, "[Ascending, Descending]", SortOrder="Up")


# Tags.


def test_tags_are_kept_with_their_resource(sagemaker, url):
    tags = [{"Key": f"k{index:02}", "Value": str(index)} for index in range(50)]
    container = {"Image": "xgboost", "ModelDataUrl": url}
    arn = sagemaker.create_model(ModelName="tagged", PrimaryContainer=container, Tags=tags)["ModelArn"]
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == tags
    assert names(sagemaker.get_paginator("list_tags").paginate(ResourceArn=arn), "Tags", "Key") == [t["Key"] for t in tags]
    invalid(sagemaker.add_tags, "expected at most 50 tags, found 51", ResourceArn=arn, Tags=[{"Key": "one-more", "Value": ""}])
    replaced = sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "k00", "Value": "new"}])["Tags"]
    assert replaced == [{"Key": "k00", "Value": "new"}, *tags[1:]]
    sagemaker.delete_tags(ResourceArn=arn, TagKeys=["k00", "none"])
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == tags[1:]
    # A resource of the same name starts without them.
    sagemaker.delete_model(ModelName="tagged")
    invalid(sagemaker.list_tags, f'Could not find resource "{arn}"', ResourceArn=arn)
    sagemaker.create_model(ModelName="tagged", PrimaryContainer=container)
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == []
    sagemaker.delete_model(ModelName="tagged")


def test_tags_that_are_refused_leave_nothing_behind(sagemaker, url):
    container = {"Image": "xgboost", "ModelDataUrl": url}
    for tags, words in [
        ([{"Key": "aws:team", "Value": "x"}], 'begin with "aws:" are reserved'),
        ([{"Key": "AWS:team", "Value": "x"}], 'begin with "aws:" are reserved'),
        ([{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}], "expected once, found twice"),
        ([{"Key": "a#", "Value": "1"}], "at 'tags.1.member.key' failed to satisfy constraint"),
        ([{"Key": f"k{index}", "Value": ""} for index in range(51)], "at 'tags' failed to satisfy constraint"),
    ]:
        invalid(sagemaker.create_model, words, ModelName="untagged", PrimaryContainer=container, Tags=tags)
    invalid(sagemaker.describe_model, "Could not find", ModelName="untagged")
    for arn in (f"{ARN}model/none", f"{ARN}training-job/none", ARN.replace("000000000000", "111111111111") + "model/common"):
        invalid(sagemaker.add_tags, "Could not find resource", ResourceArn=arn, Tags=[{"Key": "a", "Value": "b"}])


# Search.


def test_models_are_found_by_what_they_are(sagemaker, listed):
    sagemaker.add_tags(ResourceArn=f"{ARN}model/list-03", Tags=[{"Key": "team.name", "Value": "search"}])

    def search(*filters, **arguments):
        expression = {"Filters": [dict(zip(("Name", "Operator", "Value"), f)) for f in filters], **arguments}
        pages = sagemaker.get_paginator("search").paginate(
            Resource="Model", SearchExpression=expression, SortBy="ModelName", SortOrder="Ascending", PaginationConfig={"PageSize": 4}
        )
        return [result["Model"]["Model"]["ModelName"] for page in pages for result in page["Results"]]

    assert search(("ModelName", "Contains", "list-")) == listed
    assert search(("Tags.team.name", "Equals", "search")) == ["list-03"]
    assert search(("Tags.team.name", "Exists")) == ["list-03"]
    assert search(("ModelName", "In", "list-05, list-01")) == ["list-01", "list-05"]
    either = search(("ModelName", "Equals", "list-05"), ("Tags.team.name", "Exists"), Operator="Or")
    assert either == ["list-03", "list-05"]
    assert search(("ModelName", "Contains", "list-"), ("CreationTime", "LessThan", "2020-01-01T00:00:00Z")) == []
    assert search(("PrimaryContainer.Image", "Contains", "xgboost"), ("ModelName", "Equals", "list-02")) == ["list-02"]
    invalid(sagemaker.search, "NextToken", Resource="Model", NextToken="x")
    invalid(sagemaker.search, "expected a Value", Resource="Model", SearchExpression={"Filters": [{"Name": "ModelName"}]})
    # The SDK looks for a group before it makes one.
    assert sagemaker.search(Resource="ModelPackageGroup")["Results"] == []


# Endpoints.


def test_models_and_configurations_go_in_any_order(clients, sagemaker, url, cancer):
    for first in ("model", "config", "endpoint"):
        name = f"order-{first}"
        clients.deploy(name, url)
        deletions = {
            "model": lambda: sagemaker.delete_model(ModelName=name),
            "config": lambda: sagemaker.delete_endpoint_config(EndpointConfigName=name),
            "endpoint": lambda: clients.delete_endpoint(name),
        }
        deletions.pop(first)()
        if first != "endpoint":
            # What it serves is its own.
            assert sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"] == "InService"
            assert clients.predict(name, cancer[0][:1])[1] == "AllTraffic"
        [delete() for delete in deletions.values()]
        invalid(sagemaker.describe_endpoint, f'Could not find endpoint "{ARN}endpoint/{name}".', EndpointName=name)


def test_an_endpoint_is_listed_described_and_found(clients, sagemaker, url):
    described = clients.deploy("Seen", url)
    variant = described["ProductionVariants"][0]
    assert (variant["VariantName"], variant["CurrentWeight"], variant["DesiredWeight"]) == ("AllTraffic", 1.0, 1.0)
    assert (variant["CurrentInstanceCount"], variant["DesiredInstanceCount"]) == (1, 1)
    assert variant["DeployedImages"][0]["SpecifiedImage"] == hosting.XGBOOST_IMAGE
    assert described["CreationTime"] <= described["LastModifiedTime"]
    for member in ("FailureReason", "PendingDeploymentSummary", "ShadowProductionVariants"):
        assert member not in described
    listed = sagemaker.list_endpoints(NameContains="seen", StatusEquals="InService", SortBy="Status")["Endpoints"]
    assert [(item["EndpointName"], item["EndpointStatus"]) for item in listed] == [("Seen", "InService")]
    assert sagemaker.list_endpoints(NameContains="seen", StatusEquals="Failed")["Endpoints"] == []
    filters = [{"Name": "ProductionVariants.VariantName", "Operator": "Equals", "Value": "AllTraffic"}]
    found = sagemaker.search(Resource="Endpoint", SearchExpression={"Filters": filters})["Results"]
    assert "Seen" in [result["Endpoint"]["EndpointName"] for result in found]
    words = f'Cannot create already existing endpoint "{ARN}endpoint/seen".'
    invalid(sagemaker.create_endpoint, words, EndpointName="seen", EndpointConfigName="Seen")
    clients.delete_endpoint("Seen")


def test_weights_that_are_refused_change_nothing(clients, sagemaker, url):
    clients.deploy("weighed", url)

    def update(words, *desired):
        call = sagemaker.update_endpoint_weights_and_capacities
        invalid(call, words, EndpointName="weighed", DesiredWeightsAndCapacities=list(desired))

    update("Variant None not found", {"VariantName": "None", "DesiredWeight": 1})
    update("weight must be above 0", {"VariantName": "AllTraffic", "DesiredWeight": 0})
    update("expected each VariantName once", *[{"VariantName": "AllTraffic", "DesiredWeight": 1}] * 2)
    described = clients.in_service("weighed")
    assert described["ProductionVariants"][0]["DesiredWeight"] == 1.0
    clients.delete_endpoint("weighed")


@pytest.mark.parametrize(
    "words,routing,more",
    [
        ("CanarySize", {"Type": "CANARY", "WaitIntervalInSeconds": 0}, {}),
        (
            "CAPACITY_PERCENT of 1 to 50, found 60",
            {"Type": "CANARY", "WaitIntervalInSeconds": 0, "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 60}},
            {},
        ),
        (
            "LinearStepSize",
            {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0, "LinearStepSize": {"Type": "CAPACITY_PERCENT", "Value": 10}},
            {},
        ),
        (
            "more than the sum of all waits",
            {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 600},
            {"MaximumExecutionTimeoutInSeconds": 600},
        ),
        ("waitIntervalInSeconds", {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 3601}, {}),
    ],
)
def test_a_deployment_that_contradicts_itself_is_refused(sagemaker, model, words, routing, more):
    name = "contradiction"
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant(model)])
    deployment = {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing, **more}}
    arguments = {"EndpointName": name, "EndpointConfigName": name, "DeploymentConfig": deployment}
    invalid(sagemaker.create_endpoint, words, **arguments)
    invalid(sagemaker.describe_endpoint, "Could not find", EndpointName=name)
    sagemaker.delete_endpoint_config(EndpointConfigName=name)


def test_an_endpoint_that_changes_takes_no_other_change(clients, sagemaker, url, model):
    clients.deploy("busy", url)
    clients.create_config("busy-2", {"AllTraffic": (model, 1.0)})
    canary = {"Type": "CAPACITY_PERCENT", "Value": 10}
    routing = {"Type": "CANARY", "WaitIntervalInSeconds": 3600, "CanarySize": canary}
    deployment = {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing}}
    update = {"EndpointName": "busy", "EndpointConfigName": "busy-2", "DeploymentConfig": deployment}
    sagemaker.update_endpoint(**update)
    described = sagemaker.describe_endpoint(EndpointName="busy")
    assert (described["EndpointStatus"], described["EndpointConfigName"]) == ("Updating", "busy")
    pending = described["PendingDeploymentSummary"]
    assert (pending["EndpointConfigName"], pending["ProductionVariants"][0]["VariantName"]) == ("busy-2", "AllTraffic")
    words = f'Cannot update in-progress endpoint "{ARN}endpoint/busy".'
    invalid(sagemaker.update_endpoint, words, **update)
    desired = [{"VariantName": "AllTraffic", "DesiredWeight": 2}]
    weights = {"EndpointName": "busy", "DesiredWeightsAndCapacities": desired}
    invalid(sagemaker.update_endpoint_weights_and_capacities, words, **weights)
    # Beyond AWS: a change need not be waited for to be rid of the endpoint.
    clients.delete_endpoint("busy")


def test_an_image_that_is_not_served_fails_the_endpoint(clients, sagemaker, url):
    image = "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-inference:2.1"
    clients.create_model("foreign", url, image=image)
    clients.create_config("foreign", {"A": ("foreign", 1.0)})
    sagemaker.create_endpoint(EndpointName="foreign", EndpointConfigName="foreign")
    waiter = sagemaker.get_waiter("endpoint_in_service")
    with pytest.raises(botocore.exceptions.WaiterError, match="terminal failure"):
        waiter.wait(EndpointName="foreign", WaiterConfig=hosting.WAITER)
    described = sagemaker.describe_endpoint(EndpointName="foreign")
    assert described["EndpointStatus"] == "Failed"
    assert "pytorch-inference" in described["FailureReason"]
    clients.delete_endpoint("foreign")


def test_an_operation_of_a_later_day_says_so(sagemaker):
    refused(sagemaker.list_processing_jobs, "UnknownOperationException", "ListProcessingJobs", status=None)
