"""The buckets of `clary up`: boto3 and its transfer manager against the store built in, and the same against one elsewhere."""

import hashlib
import http.client
import io
import os
import socket
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import boto3
import botocore.config
import botocore.exceptions
import numpy as np
import pytest
import xgboost
from boto3.s3.transfer import TransferConfig
from moto.server import ThreadedMotoServer

import harness
import hosting

# A large object. CLARY_TEST_LARGE=1 makes it the GiB that the store promises to take; by default it is many parts all the same.
LARGE_BYTES = 1 << 30 if os.environ.get("CLARY_TEST_LARGE") else 96 << 20

# How many keys a list is read of, in pages.
KEYS = 10_000

# What the transfer manager does by itself: parts of 8 MiB, ten at once.
TRANSFER = TransferConfig()


def s3(url, **options):
    config = botocore.config.Config(retries={"total_max_attempts": 1}, **options)
    return boto3.client("s3", endpoint_url=url, region_name=hosting.REGION, config=config, **hosting.KEYS)


@pytest.fixture(scope="module")
def elsewhere():
    """An S3 store of another maker."""
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    yield f"http://{host}:{port}"
    moto.stop()


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """A platform with buckets of its own; CLARY_TEST_S3 names another server to be tested in its stead."""
    if url := os.environ.get("CLARY_TEST_S3"):
        yield url
        return
    with hosting.up(tmp_path_factory.mktemp("store")) as server:
        yield server.ready().url


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A large file, and its SHA-256. Each block differs, so that a part in the wrong place shows."""
    path = tmp_path_factory.mktemp("large") / "large.bin"
    digest = hashlib.sha256()
    block = np.arange(1 << 17, dtype=np.uint64)
    with path.open("wb") as file:
        for number in range(LARGE_BYTES // block.nbytes):
            data = (block + np.uint64(number << 32)).tobytes()
            digest.update(data)
            file.write(data)
    yield path, digest.hexdigest()
    path.unlink()


@pytest.fixture(params=["here", "elsewhere"])
def client(request):
    """A client of either store: what passes here passes there, so the flows are S3's."""
    return s3(request.getfixturevalue(request.param))


@pytest.fixture
def bucket(client, request):
    """A bucket of the test's own, removed with all that is in it."""
    name = "test-" + hashlib.sha1(request.node.name.encode()).hexdigest()[:20]
    client.create_bucket(Bucket=name)
    yield name
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=name):
        if objects := page.get("Contents"):
            client.delete_objects(Bucket=name, Delete={"Objects": [{"Key": each["Key"]} for each in objects]})
    client.delete_bucket(Bucket=name)


def refused(call, **arguments):
    """The code and status of an error."""
    with pytest.raises(botocore.exceptions.ClientError) as error:
        call(**arguments)
    response = error.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


def with_headers(client, operation, headers):
    """The client, with headers on its next request: boto3 of 2023 knows no conditions of writes, and S3 has had them since."""

    def add(request, **_):
        client.meta.events.unregister("before-sign.s3." + operation, unique_id="headers")
        for name, value in headers.items():
            request.headers[name] = value

    client.meta.events.register("before-sign.s3." + operation, add, unique_id="headers")
    return client


class Hash(io.RawIOBase):
    """Where a download goes whose bytes need not be kept: it must come in order."""

    def __init__(self):
        self.digest = hashlib.sha256()

    def writable(self):
        return True

    def write(self, data):
        self.digest.update(data)
        return len(data)


def test_the_transfer_manager_moves_a_large_object_both_ways(here, large):
    path, expected = large
    client = s3(here)
    client.create_bucket(Bucket="large")
    client.upload_file(str(path), "large", "a/large.bin", Config=TRANSFER, ExtraArgs={"Metadata": {"a": "b"}})
    head = client.head_object(Bucket="large", Key="a/large.bin")
    assert head["ContentLength"] == LARGE_BYTES
    assert head["ETag"].endswith(f'-{LARGE_BYTES // TRANSFER.multipart_chunksize}"')
    assert head["Metadata"] == {"a": "b"}

    down = Hash()
    client.download_fileobj("large", "a/large.bin", down, Config=TRANSFER)
    assert down.digest.hexdigest() == expected

    client.copy({"Bucket": "large", "Key": "a/large.bin"}, "large", "copy.bin", Config=TRANSFER)
    whole = hashlib.sha256()
    for chunk in client.get_object(Bucket="large", Key="copy.bin")["Body"].iter_chunks(1 << 20):
        whole.update(chunk)
    assert whole.hexdigest() == expected

    part = client.get_object(Bucket="large", Key="a/large.bin", PartNumber=3)
    assert part["ContentLength"] == TRANSFER.multipart_chunksize
    with path.open("rb") as file:
        file.seek(2 * TRANSFER.multipart_chunksize)
        assert part["Body"].read() == file.read(TRANSFER.multipart_chunksize)
    client.delete_objects(Bucket="large", Delete={"Objects": [{"Key": "a/large.bin"}, {"Key": "copy.bin"}]})
    client.delete_bucket(Bucket="large")


def test_one_put_takes_a_large_object(here, large):
    path, expected = large
    client = s3(here)
    client.create_bucket(Bucket="one-put")
    with path.open("rb") as file:
        client.put_object(Bucket="one-put", Key="k", Body=file)
    down = hashlib.sha256()
    for chunk in client.get_object(Bucket="one-put", Key="k")["Body"].iter_chunks(1 << 20):
        down.update(chunk)
    assert down.hexdigest() == expected
    client.delete_object(Bucket="one-put", Key="k")
    client.delete_bucket(Bucket="one-put")


def fill(url, bucket, keys):
    """Makes empty objects by the plainest of requests: boto3 takes longer to write one than the server to answer it."""

    def some(share):
        connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=harness.WAIT_S)
        for key in share:
            connection.request("PUT", f"/{bucket}/{key}", b"", {"Content-Length": "0"})
            answer = connection.getresponse()
            assert (answer.status, answer.read()) == (200, b"")
        connection.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(some, [keys[start::8] for start in range(8)]))


def test_ten_thousand_keys_are_listed_in_pages(here):
    client = s3(here)
    client.create_bucket(Bucket="many")
    keys = [f"folder-{number % 7}/key-{number:05}" for number in range(KEYS)]
    fill(here, "many", keys)
    for operation in ("list_objects_v2", "list_objects"):
        pages = client.get_paginator(operation).paginate(Bucket="many")
        assert [each["Key"] for page in pages for each in page["Contents"]] == sorted(keys)
    pages = list(client.get_paginator("list_objects_v2").paginate(Bucket="many", Prefix="folder-3/", PaginationConfig={"PageSize": 500}))
    assert len(pages) == 3
    assert sum(page["KeyCount"] for page in pages) == len([key for key in keys if key.startswith("folder-3/")])
    folders = client.list_objects_v2(Bucket="many", Delimiter="/")
    assert [each["Prefix"] for each in folders["CommonPrefixes"]] == [f"folder-{number}/" for number in range(7)]
    # What comes and goes between pages moves nothing else.
    first = client.list_objects_v2(Bucket="many", MaxKeys=10)
    client.delete_object(Bucket="many", Key=first["Contents"][9]["Key"])
    client.put_object(Bucket="many", Key="a-new-one", Body=b"")
    second = client.list_objects_v2(Bucket="many", MaxKeys=10, ContinuationToken=first["NextContinuationToken"])
    assert [each["Key"] for each in second["Contents"]] == sorted(keys)[10:20]
    for page in client.get_paginator("list_objects_v2").paginate(Bucket="many"):
        objects = [{"Key": each["Key"]} for each in page["Contents"]]
        answer = client.delete_objects(Bucket="many", Delete={"Objects": objects, "Quiet": True})
        assert "Errors" not in answer
    client.delete_bucket(Bucket="many")


def test_ranges_and_conditions(client, bucket):
    etag = client.put_object(Bucket=bucket, Key="k", Body=b"0123456789", ContentType="text/csv")["ETag"]
    get = lambda **arguments: client.get_object(Bucket=bucket, Key="k", **arguments)
    for given, expected, content_range in [
        ("bytes=0-0", b"0", "bytes 0-0/10"),
        ("bytes=7-", b"789", "bytes 7-9/10"),
        ("bytes=-3", b"789", "bytes 7-9/10"),
        ("bytes=5-99", b"56789", "bytes 5-9/10"),
    ]:
        answer = get(Range=given)
        assert (answer["Body"].read(), answer["ContentRange"]) == (expected, content_range)
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert refused(get, Range="bytes=10-") == ("InvalidRange", 416)
    assert get(IfMatch=etag)["ETag"] == etag
    assert refused(get, IfMatch='"x"') == ("PreconditionFailed", 412)
    assert refused(get, IfNoneMatch=etag)[1] == 304
    put = lambda **headers: with_headers(client, "PutObject", headers).put_object(Bucket=bucket, Key="k", Body=b"new")
    assert refused(put, **{"If-None-Match": "*"}) == ("PreconditionFailed", 412)
    put(**{"If-Match": etag})
    assert get()["Body"].read() == b"new"


def test_copies(client, bucket):
    client.put_object(Bucket=bucket, Key="from a+b", Body=b"bytes", ContentType="text/csv", Metadata={"a": "1"})
    source = {"Bucket": bucket, "Key": "from a+b"}
    client.copy_object(Bucket=bucket, Key="to", CopySource=source)
    copied = client.get_object(Bucket=bucket, Key="to")
    assert (copied["Body"].read(), copied["ContentType"], copied["Metadata"]) == (b"bytes", "text/csv", {"a": "1"})
    client.copy_object(
        Bucket=bucket, Key="to", CopySource=source, MetadataDirective="REPLACE", Metadata={"b": "2"}, ContentType="x/y"
    )
    copied = client.head_object(Bucket=bucket, Key="to")
    assert (copied["ContentType"], copied["Metadata"]) == ("x/y", {"b": "2"})
    absent = {"Bucket": bucket, "Key": "absent"}
    assert refused(client.copy_object, Bucket=bucket, Key="to", CopySource=absent) == ("NoSuchKey", 404)
    client.delete_object(Bucket=bucket, Key="from a+b")
    assert client.get_object(Bucket=bucket, Key="to")["Body"].read() == b"bytes"


@pytest.fixture
def localhost(monkeypatch):
    """Names below localhost mean this machine, as browsers and systemd have it; not every resolver does."""
    ask = socket.getaddrinfo
    here = lambda host: "127.0.0.1" if host.endswith((".localhost", ".s3.example.com")) else host
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *rest, **more: ask(here(host), *rest, **more))


def test_buckets_stand_in_the_path_unless_asked_otherwise(here):
    """boto3 takes the path for any endpoint it is given, `localhost` and dotted names too."""
    for host in ("localhost", "127.0.0.1", "s3.example.com"):
        url = s3(f"http://{host}:1").generate_presigned_url("get_object", Params={"Bucket": "b-1", "Key": "k"})
        assert url.startswith(f"http://{host}:1/b-1/k?")


@pytest.mark.parametrize("name", ["localhost", "s3.example.com"])
def test_buckets_stand_in_the_host(tmp_path, localhost, name):
    with hosting.up(tmp_path, "--domain", "s3.example.com") as server:
        port = server.ready().url.rsplit(":", 1)[1]
        client = s3(f"http://{name}:{port}", s3={"addressing_style": "virtual"})
        urls = []
        client.meta.events.register("before-send.s3", lambda request, **_: urls.append(request.url))
        client.create_bucket(Bucket="in-host")
        client.put_object(Bucket="in-host", Key="a b/ü", Body=b"bytes")
        assert client.get_object(Bucket="in-host", Key="a b/ü")["Body"].read() == b"bytes"
        listed = client.list_objects_v2(Bucket="in-host", Prefix="a b/")["Contents"]
        assert [each["Key"] for each in listed] == ["a b/ü"]
        client.copy_object(Bucket="in-host", Key="copy", CopySource={"Bucket": "in-host", "Key": "a b/ü"})
        assert refused(client.get_object, Bucket="in-host", Key="absent") == ("NoSuchKey", 404)
        assert all(url.startswith(f"http://in-host.{name}:{port}/") for url in urls) and len(urls) == 6
        # The same bucket by its path.
        assert s3(server.url).get_object(Bucket="in-host", Key="copy")["Body"].read() == b"bytes"


# Keys that paths, URLs, XML and file systems each would read as something else.
ODD_KEYS = [
    "mañana/模型 🦀.tar.gz",
    "a b+c%20d&e=f?g#h;i,j:k@l!m$n'o(p)q*r",
    'quotes"<and>&amp;',
    "a/",
    "a",
    "a/b",
    "A",
    "a//b",
    "../../etc/passwd",
    "./x",
    "a/../b",
    "~",
    "k" * 1024,
    "/leading",
]


def test_odd_keys(here):
    client = s3(here)
    client.create_bucket(Bucket="odd-keys")
    for key in ODD_KEYS:
        client.put_object(Bucket="odd-keys", Key=key, Body=key.encode())
    for key in ODD_KEYS:
        assert client.get_object(Bucket="odd-keys", Key=key)["Body"].read() == key.encode()
    for operation in (client.list_objects_v2, client.list_objects):
        listed = [each["Key"] for each in operation(Bucket="odd-keys")["Contents"]]
        assert listed == sorted(ODD_KEYS, key=lambda key: key.encode())
    assert refused(client.put_object, Bucket="odd-keys", Key="k" * 1025, Body=b"") == ("KeyTooLongError", 400)
    deleted = client.delete_objects(Bucket="odd-keys", Delete={"Objects": [{"Key": key} for key in ODD_KEYS]})
    assert sorted(each["Key"] for each in deleted["Deleted"]) == sorted(ODD_KEYS)
    client.delete_bucket(Bucket="odd-keys")


@pytest.mark.parametrize("version", ["s3v4", "s3"])
def test_presigned_addresses(here, version):
    client = s3(here, signature_version=version)
    client.create_bucket(Bucket="presigned")
    key = {"Bucket": "presigned", "Key": "a b/ü"}
    put = client.generate_presigned_url("put_object", Params=key)
    with urllib.request.urlopen(urllib.request.Request(put, data=b"bytes", method="PUT")) as answer:
        assert answer.status == 200
    get = client.generate_presigned_url("get_object", Params={**key, "ResponseContentType": "text/x"})
    with urllib.request.urlopen(get) as answer:
        assert (answer.read(), answer.headers["Content-Type"]) == (b"bytes", "text/x")
    client.delete_object(**key)
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(client.generate_presigned_url("get_object", Params=key))
    assert error.value.code == 404 and b"<Code>NoSuchKey</Code>" in error.value.read()
    client.delete_bucket(Bucket="presigned")


def test_parts_by_hand(client, bucket):
    begun = client.create_multipart_upload(Bucket=bucket, Key="k", ContentType="x/y")
    at = {"Bucket": bucket, "Key": "k", "UploadId": begun["UploadId"]}
    size = 5 << 20
    tags = {}
    for number in (3, 1, 2):
        body = bytes([number]) * (size if number < 3 else 10)
        tags[number] = client.upload_part(**at, PartNumber=number, Body=body)["ETag"]
    listed = client.list_parts(**at)
    assert [(part["PartNumber"], part["ETag"]) for part in listed["Parts"]] == sorted(tags.items())
    uploads = client.list_multipart_uploads(Bucket=bucket)["Uploads"]
    assert [(upload["Key"], upload["UploadId"]) for upload in uploads] == [("k", begun["UploadId"])]
    parts = [{"PartNumber": number, "ETag": tag} for number, tag in sorted(tags.items())]
    wrong = {"Parts": [{**parts[0], "ETag": '"00000000000000000000000000000000"'}]}
    assert refused(client.complete_multipart_upload, **at, MultipartUpload=wrong) == ("InvalidPart", 400)
    client.complete_multipart_upload(**at, MultipartUpload={"Parts": parts})
    whole = client.get_object(Bucket=bucket, Key="k")
    assert whole["ContentType"] == "x/y"
    assert whole["Body"].read() == bytes([1]) * size + bytes([2]) * size + bytes([3]) * 10
    begun = client.create_multipart_upload(Bucket=bucket, Key="other")
    client.abort_multipart_upload(Bucket=bucket, Key="other", UploadId=begun["UploadId"])
    assert "Uploads" not in client.list_multipart_uploads(Bucket=bucket)


def test_the_sagemaker_sdk_makes_its_bucket(here):
    client = s3(here)
    # Code and message that the SDK looks for before it makes the bucket.
    with pytest.raises(botocore.exceptions.ClientError) as error:
        client.head_bucket(Bucket="sagemaker-us-east-1-000000000000")
    assert error.value.response["Error"] == {"Code": "404", "Message": "Not Found"}
    import sagemaker

    session = boto3.Session(region_name=hosting.REGION, **hosting.KEYS)
    resource = session.resource("s3", endpoint_url=here)
    resource.create_bucket(Bucket="sagemaker-us-east-1-000000000000")
    assert resource.Bucket("sagemaker-us-east-1-000000000000").creation_date is not None
    own = {"Bucket": "sagemaker-us-east-1-000000000000", "ExpectedBucketOwner": hosting.ACCOUNT}
    client.head_bucket(**own)
    assert refused(client.head_bucket, **{**own, "ExpectedBucketOwner": "111111111111"})[1] == 403
    sagemaker_session = sagemaker.Session(
        boto_session=session,
        sagemaker_client=session.client("sagemaker", endpoint_url=here),
        sagemaker_runtime_client=session.client("sagemaker-runtime", endpoint_url=here),
        default_bucket="sagemaker-us-east-1-000000000000",
    )
    sagemaker_session.s3_client, sagemaker_session.s3_resource = client, resource
    url = sagemaker.s3.S3Uploader.upload_string_as_file_body("text", "s3://sagemaker-us-east-1-000000000000/a/b.txt", sagemaker_session=sagemaker_session)
    assert sagemaker.s3.S3Downloader.list("s3://sagemaker-us-east-1-000000000000/a", sagemaker_session=sagemaker_session) == [url]
    assert sagemaker.s3.S3Downloader.read_file(url, sagemaker_session=sagemaker_session) == "text"
    resource.Bucket("sagemaker-us-east-1-000000000000").objects.all().delete()
    client.delete_bucket(Bucket="sagemaker-us-east-1-000000000000")


def test_buckets(client, bucket):
    assert bucket in [each["Name"] for each in client.list_buckets()["Buckets"]]
    assert client.get_bucket_location(Bucket=bucket)["LocationConstraint"] is None
    client.put_object(Bucket=bucket, Key="k", Body=b"")
    assert refused(client.delete_bucket, Bucket=bucket) == ("BucketNotEmpty", 409)
    assert refused(client.get_object, Bucket=bucket, Key="absent") == ("NoSuchKey", 404)
    assert refused(client.list_objects_v2, Bucket="absent-bucket") == ("NoSuchBucket", 404)
    assert "Status" not in client.get_bucket_versioning(Bucket=bucket)
    client.put_object(Bucket=bucket, Key="k", Body=b"", Tagging="a=b")
    assert client.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == [{"Key": "a", "Value": "b"}]


def test_checksums(here):
    client = s3(here)
    client.create_bucket(Bucket="checksums")
    for algorithm in ("CRC32", "SHA1", "SHA256"):
        put = client.put_object(Bucket="checksums", Key=algorithm, Body=b"123456789", ChecksumAlgorithm=algorithm)
        got = client.get_object(Bucket="checksums", Key=algorithm, ChecksumMode="ENABLED")
        assert got["Body"].read() == b"123456789"
        assert got["Checksum" + algorithm] == put["Checksum" + algorithm]
        attributes = client.get_object_attributes(
            Bucket="checksums", Key=algorithm, ObjectAttributes=["Checksum", "ObjectSize", "ETag"]
        )
        assert attributes["Checksum"]["Checksum" + algorithm] == put["Checksum" + algorithm]
        assert attributes["ObjectSize"] == 9
    wrong = refused(client.put_object, Bucket="checksums", Key="wrong", Body=b"123456789", ChecksumCRC32="AAAAAA==")
    assert wrong == ("BadDigest", 400)
    for algorithm in ("CRC32", "SHA1", "SHA256"):
        client.delete_object(Bucket="checksums", Key=algorithm)
    client.delete_bucket(Bucket="checksums")


def test_buckets_survive_a_restart(tmp_path):
    with hosting.up(tmp_path) as server:
        client = s3(server.ready().url)
        client.create_bucket(Bucket="kept")
        client.put_object(Bucket="kept", Key="k", Body=b"bytes", Metadata={"a": "b"})
        # No warning: what was answered is stored.
        server.process.kill()
        server.process.wait()
    with hosting.up(tmp_path) as server:
        got = s3(server.ready().url).get_object(Bucket="kept", Key="k")
        assert (got["Body"].read(), got["Metadata"]) == (b"bytes", {"a": "b"})


def test_artifacts_come_from_a_store_elsewhere(elsewhere, booster, cancer, tmp_path):
    s3(elsewhere).create_bucket(Bucket="their-models")
    path = harness.archive(harness.save(booster, tmp_path / "m"), tmp_path / "model.tar.gz")
    s3(elsewhere).upload_file(str(path), "their-models", "a/~model 1.tar.gz")
    variables = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": hosting.REGION}
    with hosting.up(tmp_path / "data", "--s3-endpoint", elsewhere, environment=variables) as server:
        clients = hosting.Clients(server.ready())
        assert refused(clients.s3.list_buckets) == ("NotImplemented", 501)
        with pytest.raises(botocore.exceptions.ClientError, match=elsewhere):
            clients.s3.get_object(Bucket="their-models", Key="a/~model 1.tar.gz")
        clients.deploy("theirs", url="s3://their-models/a/~model 1.tar.gz")
        rows = cancer[0][:5]
        found, _ = clients.predict("theirs", rows)
        np.testing.assert_allclose(found, booster.predict(xgboost.DMatrix(rows)), rtol=1e-6, atol=0)
