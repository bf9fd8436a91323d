"""What users of endpoints rely on, by boto3: how traffic is split, many models behind one endpoint, and what is refused how."""

import concurrent.futures

import botocore.config
import numpy as np

import harness
import hosting
from endpoints import ARN, adjust, check_share, counts, describe, invoke, refused, summaries, train
from hosting import variant


# Traffic.


def test_traffic_follows_the_weights(platform, hosted_models, row):
    good, other, _ = hosted_models
    platform.create_config("split", {"A": variant(good, 9), "B": variant(other, 1), "C": variant(good, 0)})
    platform.create_endpoint("split", "split")
    found = counts(platform, "split", row, 800)
    assert sum(found.values()) == 800 and "C" not in found
    check_share(found["B"], 800, 0.1)
    # An override wins, whatever its weight, and streams say who answers too.
    for name in "ABC":
        assert counts(platform, "split", row, 3, TargetVariant=name) == {name: 3}
    streamed = platform.runtime.invoke_endpoint_with_response_stream(
        EndpointName="split", Body=row, ContentType="text/csv", TargetVariant="C"
    )
    assert streamed["InvokedProductionVariant"] == "C"
    assert b"".join(event["PayloadPart"]["Bytes"] for event in streamed["Body"]) == invoke(
        platform, "split", row, TargetVariant="C"
    )["Body"].read()
    gone = f"Variant D not found for Endpoint split of account {hosting.ACCOUNT}."
    refused(lambda: invoke(platform, "split", row, TargetVariant="D"), "ValidationError", gone)
    refused(lambda: invoke(platform, "split", row, TargetVariant="a"), "ValidationError", "Variant a not found")
    # Who failed is told as well.
    failed = refused(lambda: invoke(platform, "split", "x\n", TargetVariant="B"), "ModelError", status=424)
    assert failed["ResponseMetadata"]["HTTPHeaders"]["x-amzn-invoked-production-variant"] == "B"
    platform.delete_endpoint("split")


def test_weights_and_counts_change_together(platform, hosted_models, row):
    good, other, _ = hosted_models
    platform.create_config("adjust", {"A": variant(good), "B": variant(other), "C": variant(good)})
    platform.create_endpoint("adjust", "adjust")
    told = adjust(platform, "adjust", A={"DesiredWeight": 0}, B={"DesiredWeight": 3, "DesiredInstanceCount": 2})
    assert told["EndpointArn"] == ARN + "adjust"
    described = platform.in_service("adjust")
    members = ("CurrentWeight", "DesiredWeight", "CurrentInstanceCount", "DesiredInstanceCount")
    assert summaries(described, *members) == {"A": (0, 0, 1, 1), "B": (3, 3, 2, 2), "C": (1, 1, 1, 1)}
    found = counts(platform, "adjust", row, 300)
    assert set(found) == {"B", "C"}
    check_share(found["B"], 300, 0.75)
    # All or nothing.
    words = "Variant X not found"
    refused(lambda: adjust(platform, "adjust", B={"DesiredWeight": 9}, X={"DesiredWeight": 1}), "ValidationException", words)
    nothing = {"B": {"DesiredWeight": 0}, "C": {"DesiredWeight": 0}}
    refused(lambda: adjust(platform, "adjust", **nothing), "ValidationException", "above 0")
    words = "expected at least 1 instance, found 0"
    refused(lambda: adjust(platform, "adjust", B={"DesiredInstanceCount": 0}), "ValidationException", words)
    words = "it has instances"
    refused(lambda: adjust(platform, "adjust", B={"ServerlessUpdateConfig": {"MaxConcurrency": 2}}), "ValidationException", words)
    assert summaries(describe(platform, "adjust"), *members) == {"A": (0, 0, 1, 1), "B": (3, 3, 2, 2), "C": (1, 1, 1, 1)}
    platform.delete_endpoint("adjust")


def test_a_key_keeps_its_variant(platform, hosted_models, row):
    good, other, _ = hosted_models
    platform.create_config("keys", {"A": variant(good, 9), "B": variant(other, 1)})
    platform.create_endpoint("keys", "keys", Tags=[{"Key": "clary:assignment-attribute", "Value": "user"}])
    users = [f"user-{number}" for number in range(150)]

    def by_header(user):
        url = f"{platform.server.url}/endpoints/keys/invocations"
        headers = {"X-Clary-Assignment-Key": user, "Content-Type": "text/csv"}
        answer = platform.server.session.post(url, data=row, headers=headers, timeout=harness.WAIT_S)
        return answer.headers["x-amzn-invoked-production-variant"]

    def by_attribute(user, name="user"):
        return invoke(platform, "keys", row, CustomAttributes=f"a=1,{name}={user}")["InvokedProductionVariant"]

    before = [by_header(user) for user in users]
    assert before == [by_header(user) for user in users] == [by_attribute(user) for user in users]
    adjust(platform, "keys", A={"DesiredWeight": 5}, B={"DesiredWeight": 5})
    platform.in_service("keys")
    after = [by_attribute(user) for user in users]
    moved = [(old, new) for old, new in zip(before, after) if old != new]
    assert set(moved) == {("A", "B")}, "nobody moves back"
    check_share(len(moved), len(users), 0.4)
    # The attribute is changed by its tag, while the endpoint serves.
    platform.sagemaker.add_tags(ResourceArn=ARN + "keys", Tags=[{"Key": "clary:assignment-attribute", "Value": "session"}])
    platform.server.wait_until(lambda: [by_attribute(user, "session") for user in users] == after)
    platform.sagemaker.delete_tags(ResourceArn=ARN + "keys", TagKeys=["clary:assignment-attribute"])
    platform.server.wait_until(lambda: {by_attribute("user-1", "session") for _ in range(20)} == {"A", "B"})
    platform.delete_endpoint("keys")


def test_a_shadow_is_never_seen(platform, hosted_models, row):
    good, _, narrow = hosted_models
    shadows = [{"VariantName": "S", **variant(narrow, 2)}]
    platform.create_config("shadow", {"A": variant(good, 4)}, ShadowProductionVariants=shadows)
    described = platform.create_endpoint("shadow", "shadow")
    assert [summary["VariantName"] for summary in described["ShadowProductionVariants"]] == ["S"]
    assert [summary["VariantName"] for summary in describe(platform, "shadow")["ProductionVariants"]] == ["A"]
    expected = invoke(platform, "shadow", row)["Body"].read()
    for _ in range(200):
        answer = invoke(platform, "shadow", row)
        assert (answer["Body"].read(), answer["InvokedProductionVariant"]) == (expected, "A")
    refused(lambda: invoke(platform, "shadow", row, TargetVariant="S"), "ValidationError", "Variant S not found")

    def answered(name, code):
        page = platform.server.session.get(platform.server.url + "/metrics", timeout=harness.WAIT_S).text
        of_variant = f'clary_invocations_total{{endpoint="shadow",variant="{name}"'
        lines = [line for line in page.splitlines() if line.startswith(of_variant) and f'code="{code}"' in line]
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines)

    platform.server.wait_until(lambda: answered("S", "200") + answered("S", "400") > 50)
    assert answered("A", "200") == 201 and answered("S", "200") == 0
    check_share(answered("S", "400"), 201, 0.5)
    platform.delete_endpoint("shadow")


# Many models behind one endpoint.


def test_a_request_names_its_model(platform, hosted_models, booster, cancer, row):
    platform.create_model("many", f"s3://{hosting.BUCKET}/many/", Mode="MultiModel")
    platform.create_config("many", {"A": variant("many")})
    platform.create_endpoint("many", "many")
    ask = lambda model, **further: invoke(platform, "many", row, TargetModel=model, **further)
    gone = f"Failed to download model data(bucket: {hosting.BUCKET}, key: many/a.tar.gz)."
    refused(lambda: ask("a.tar.gz"), "ValidationError", gone)
    refused(lambda: invoke(platform, "many", row), "ValidationError", "is a multi-model endpoint and requires target model")
    for foreign in ("../model.tar.gz", "/a.tar.gz", "x/../../model.tar.gz"):
        refused(lambda: ask(foreign), "ValidationError")
    platform.upload(booster, "many/a.tar.gz")
    first = ask("a.tar.gz")
    assert first["InvokedProductionVariant"] == "A"
    first = first["Body"].read()
    platform.upload(train(cancer), "many/sub/b.tar.gz")
    assert ask("sub/b.tar.gz", TargetVariant="A")["Body"].read() != first
    # One that is replaced serves on until the new one, which is looked for now and then, is there.
    platform.upload(train(cancer), "many/replaced.tar.gz")
    second = ask("replaced.tar.gz")["Body"].read()
    platform.upload(booster, "many/replaced.tar.gz")
    # Of many who ask for a cold one, all are answered.
    for number in range(4):
        platform.upload(train(cancer, rounds=number + 1), f"many/c{number}.tar.gz")
    client = hosting.client(platform.server, "sagemaker-runtime", config=botocore.config.Config(max_pool_connections=8))
    names = [f"c{number % 4}.tar.gz" for number in range(32)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda name: invoke(platform, "many", row, client=client, TargetModel=name)["Body"].read(), names))
    assert len(set(answers)) == 4 and answers[:4] * 8 == answers
    # A model that is no model is its own fault alone.
    platform.s3.put_object(Bucket=hosting.BUCKET, Key="many/broken.tar.gz", Body=b"no archive")
    refused(lambda: ask("broken.tar.gz"), "ModelError", "broken.tar.gz", status=424)
    assert ask("a.tar.gz")["Body"].read() == first

    def is_renewed():
        answer = ask("replaced.tar.gz")["Body"].read()
        assert answer in (first, second)
        return answer == first

    platform.server.wait_until(is_renewed)
    single = "is not a multi-model endpoint and does not support target model header."
    platform.create_config("single", {"A": variant(hosted_models[0])})
    platform.create_endpoint("single", "single")
    refused(lambda: invoke(platform, "single", row, TargetModel="a.tar.gz"), "ValidationError", single)
    platform.delete_endpoint("single")
    platform.delete_endpoint("many")


def test_models_take_turns_in_little_memory(booster, row, tmp_path):
    with hosting.up(tmp_path, "--model-memory", "400KiB") as server:
        clients = hosting.Clients(server.ready())
        for number in range(12):
            clients.upload(booster, f"many/{number}.tar.gz")
        clients.create_model("many", f"s3://{hosting.BUCKET}/many/", Mode="MultiModel")
        clients.create_config("many", {"A": variant("many")})
        clients.create_endpoint("many", "many")
        runtime = hosting.client(server, "sagemaker-runtime", config=botocore.config.Config(max_pool_connections=4))
        names = [f"{number % 12}.tar.gz" for number in range(48)]
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda name: invoke(clients, "many", row, client=runtime, TargetModel=name)["Body"].read(), names))
        assert len(set(answers)) == 1
        # Not all of them fit, so some came more than once.
        count = lambda words: sum(words in line for line in list(server.log))
        server.wait_until(lambda: count('"model loaded"') > 12 and count('"model unloaded"') > 0)


# Refusals of the runtime.


def test_every_refusal_has_its_code(platform, hosted_models, row):
    good, _, _ = hosted_models
    platform.create_config("codes", {"A": variant(good)})
    platform.create_endpoint("codes", "codes")
    account = hosting.ACCOUNT
    check = lambda call, code, *words, **further: refused(call, code, *words, **further)["ResponseMetadata"]["HTTPHeaders"]
    told = [
        check(lambda: invoke(platform, "none", row), "ValidationError", f"Endpoint none of account {account} not found."),
        # Stored case is needed.
        check(lambda: invoke(platform, "CODES", row), "ValidationError", f"Endpoint CODES of account {account} not found."),
        check(lambda: invoke(platform, "codes", row, TargetContainerHostname="b"), "ValidationError", "multi-container"),
        check(lambda: invoke(platform, "codes", row, InferenceId="i" * 65), "ValidationError", "'inferenceId'"),
        check(lambda: invoke(platform, "codes", row, TargetModel="m"), "ValidationError", "not a multi-model endpoint"),
        check(lambda: invoke(platform, "codes", row, CustomAttributes="a" * 1025), "ValidationError"),
        check(lambda: invoke(platform, "codes", row, ContentType="image/png"), "ModelError", status=424),
    ]
    for headers in told[:-1]:
        assert headers["x-amzn-errortype"] == "ValidationError" and headers["x-amzn-requestid"]
    assert told[-1]["x-amzn-errortype"] == "ModelError"
    for asked, status, words in [
        ({"body": "x\n"}, 415, "payload"),
        ({"body": row.strip() + ",1\n"}, 400, "30"),
        ({"body": row, "ContentType": "image/png"}, 415, "image/png"),
        ({"body": row, "Accept": "image/png"}, 406, "image/png"),
    ]:
        answer = refused(lambda: invoke(platform, "codes", **asked), "ModelError", status=424)
        assert answer["OriginalStatusCode"] == status and words in answer["OriginalMessage"], answer
        assert answer["LogStreamArn"].startswith(f"arn:aws:logs:{hosting.REGION}:{account}:log-group:/aws/sagemaker/Endpoints/codes")
        message = answer["Error"]["Message"]
        assert message.startswith(f'Received client error ({status}) from primary with message "{answer["OriginalMessage"]}". See https://')
        assert message.endswith(f"group=/aws/sagemaker/Endpoints/codes in account {account} for more information.")
    refused(lambda: invoke(platform, "codes", "1" * (6 * 2**20 + 1)), "413", status=413)
    url = f"{platform.server.url}/endpoints/codes/invocations"
    plain = platform.server.session.post(url, data="1" * (6 * 2**20 + 1), timeout=harness.WAIT_S)
    assert (plain.status_code, plain.text) == (413, "HTTP content length exceeded 6291456 bytes.")
    # Largest that fits: the model's own opinion.
    refused(lambda: invoke(platform, "codes", "1" * (6 * 2**20)), "ModelError", status=424)
    # A stream that cannot begin is refused as a whole.
    streamed = {"EndpointName": "none", "Body": row}
    refused(platform.runtime.invoke_endpoint_with_response_stream, "ValidationError", "Endpoint none of account", **streamed)
    platform.delete_endpoint("codes")


def test_a_model_that_takes_too_long_is_told(booster, cancer, tmp_path):
    with hosting.up(tmp_path, "--request-timeout", "50ms") as server:
        clients = hosting.Clients(server.ready())
        clients.deploy("slow", clients.upload(booster))
        many = harness.to_csv(np.tile(cancer[0], (25, 1)))
        words = "Your invocation timed out while waiting for a response from container primary."
        answer = refused(lambda: invoke(clients, "slow", many), "ModelError", words, status=424)
        assert answer["OriginalStatusCode"] == 0
