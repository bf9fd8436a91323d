"""Who may call `clary up`: real boto3 signs, the server verifies; and whatever is not signed right is refused for its reason."""

import datetime
import hashlib
import hmac
import importlib.util
import json
import subprocess
from unittest import mock

import botocore.auth
import botocore.awsrequest
import botocore.config
import botocore.credentials
import botocore.exceptions
import pytest
import requests
from botocore import UNSIGNED
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

import harness
import hosting

GOLDEN = harness.ROOT / "tests" / "golden" / "sigv4"

ADMIN = ("AKIDADMIN", "a long random text of the administrator")
SCORER = ("AKIDSCORER", "a long random text of the scorer")
READER = ("AKIDREADER", "a long random text of the reader")
SLOW = ("AKIDSLOW", "a long random text of who may seldom ask")
SESSION = ("AKIDSESSION", "a long random text of a session")
TOKEN = "the session's token"
BEARER = "a token of the dashboard"
CLIENT = "scoring.example.com"


def entry(key, actions, **further):
    allow = {"actions": actions, "endpoints": further.pop("endpoints", ["*"]), "buckets": further.pop("buckets", ["*"])}
    return {"access_key_id": key[0], "secret_access_key": key[1], "allow": allow, **further}


def document():
    invoke = {"actions": ["*"], "endpoints": ["churn"]}
    return {
        "keys": [
            entry(ADMIN, ["*"]),
            entry(SCORER, ["sagemaker:InvokeEndpoint"], endpoints=["churn"]),
            entry(READER, ["s3:Get*", "s3:ListBucket"], buckets=["models"]),
            entry(SLOW, ["sagemaker:*"], requests_per_second=0.001),
            entry(SESSION, ["sagemaker:List*"], session_token=TOKEN),
        ],
        "bearer_tokens": [{"name": "dashboard", "sha256": hashlib.sha256(BEARER.encode()).hexdigest(), "allow": invoke}],
        "certificates": [{"name": CLIENT, "allow": invoke}],
    }


def write(path, content):
    path.touch(mode=0o600)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("access")
    file = write(folder / "credentials.json", document())
    with hosting.up(folder / "data", "--credentials", file) as server:
        yield server


def keys(key):
    """What boto3 calls the halves of a key."""
    return {"aws_access_key_id": key[0], "aws_secret_access_key": key[1]}


def client(server, service, key=ADMIN, **options):
    options.setdefault("config", botocore.config.Config(retries={"total_max_attempts": 1}))
    return hosting.client(server, service, **(keys(key) if key else {}), **options)


@pytest.fixture(scope="module")
def endpoint(server, booster):
    """An endpoint `churn` and one that the scorer may not ask."""
    clients = hosting.Clients(server, **keys(ADMIN))
    url = clients.upload(booster)
    clients.deploy("churn", url)
    clients.deploy("other", url)
    return "churn"


def refused(code, call, status=None, **arguments):
    """Calls; the refusal must have this code. Gives its message."""
    with pytest.raises(botocore.exceptions.ClientError) as refusal:
        call(**arguments)
    response = refusal.value.response
    assert response["Error"]["Code"] == code, response["Error"]
    assert status in (None, response["ResponseMetadata"]["HTTPStatusCode"])
    return response["Error"]["Message"]


def calls(server, **options):
    """A harmless call of each service, by the protocol that it speaks."""
    return {
        "json": client(server, "sagemaker", **options).list_models,
        "logs": client(server, "logs", **options).describe_log_groups,
        "monitoring": client(server, "cloudwatch", **options).list_metrics,
        "query": client(server, "sts", **options).get_caller_identity,
        "s3": client(server, "s3", **options).list_buckets,
    }


def test_the_golden_requests_are_this_botocores():
    spec = importlib.util.spec_from_file_location("make", GOLDEN / "make.py")
    make = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make)
    assert json.loads(make.text()) == json.loads((GOLDEN / "botocore.json").read_text())


def test_every_service_takes_a_signed_request(server):
    for call in calls(server).values():
        assert call()["ResponseMetadata"]["HTTPStatusCode"] == 200
    scaling = client(server, "application-autoscaling")
    assert scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"] == []


def test_health_is_open_and_numbers_are_not(server):
    get = lambda path, **headers: requests.get(server.url + path, headers=headers, timeout=harness.WAIT_S).status_code
    assert get("/ping") == 200
    assert get("/metrics") == 403
    assert get("/metrics", Authorization=f"Bearer {BEARER}") == 200
    assert get("/metrics", Authorization="Bearer another") == 403


UNKNOWN = ("AKIDNOBODY", "whatever")
WRONG = (ADMIN[0], "another secret")
UNSIGNED_CODES = {
    "json": "MissingAuthenticationTokenException",
    "logs": "MissingAuthenticationTokenException",
    "query": "MissingAuthenticationToken",
    "s3": "AccessDenied",
}
CODES = [
    ("unsigned", {"key": None, "config": botocore.config.Config(signature_version=UNSIGNED)}, UNSIGNED_CODES),
    (
        "unknown",
        {"key": UNKNOWN},
        {
            "json": "UnrecognizedClientException",
            "logs": "UnrecognizedClientException",
            "monitoring": "UnrecognizedClientException",
            "query": "InvalidClientTokenId",
            "s3": "InvalidAccessKeyId",
        },
    ),
    (
        "wrong",
        {"key": WRONG},
        {
            "json": "InvalidSignatureException",
            "logs": "InvalidSignatureException",
            "monitoring": "InvalidSignatureException",
            "query": "SignatureDoesNotMatch",
            "s3": "SignatureDoesNotMatch",
        },
    ),
]


@pytest.mark.parametrize("options, codes", [case[1:] for case in CODES], ids=[case[0] for case in CODES])
def test_what_is_not_signed_right_is_refused_in_each_protocol(server, options, codes):
    for name, call in calls(server, **options).items():
        if name in codes:
            refused(codes[name], call, status=403 if name in ("query", "s3") else 400)


def at(minutes):
    """botocore's clock, set wrong."""
    moment = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None) + datetime.timedelta(minutes=minutes)
    return mock.patch.object(botocore.auth, "get_current_datetime", lambda: moment)


@pytest.mark.parametrize("minutes", [-6, 6])
def test_a_wrong_clock_is_refused(server, minutes):
    with at(minutes):
        message = refused("InvalidSignatureException", client(server, "sagemaker").list_models)
        assert "Signature not current" in message
        refused("RequestTimeTooSkewed", client(server, "s3").list_buckets)
    with at(minutes / 2):
        client(server, "sagemaker").list_models()


def sign(server, service="sagemaker", key=ADMIN, method="POST", path="/", body=b"{}", **headers):
    """A request signed by botocore's own signer; gives what `requests` needs to send it."""
    headers.setdefault("X-Amz-Target", "SageMaker.ListModels")
    headers.setdefault("Content-Type", "application/x-amz-json-1.1")
    request = botocore.awsrequest.AWSRequest(method, server.url + path, data=body, headers=headers)
    signer = botocore.auth.S3SigV4Auth if service == "s3" else botocore.auth.SigV4Auth
    signer(botocore.credentials.Credentials(*key), service, hosting.REGION).add_auth(request)
    return {"method": method, "url": request.url, "data": body, "headers": dict(request.headers.items())}


def send(request, **changes):
    return requests.request(**{**request, **changes}, timeout=harness.WAIT_S)


def test_a_request_is_served_once(server):
    # botocore signs before it adds this header; other clients sign it, and then every request has a signature of its own.
    request = sign(server, **{"amz-sdk-invocation-id": "0b8b1f1c-cd1b-42c9-a8cb-1e1e5bfb5c1d"})
    assert send(request).status_code == 200
    answer = send(request)
    assert (answer.status_code, answer.json()["__type"]) == (400, "InvalidSignatureException")
    assert "used before" in answer.json()["message"]


def test_requests_that_boto3_signs_alike_are_told_apart(server):
    sent = []
    sagemaker = client(server, "sagemaker")
    sagemaker.meta.events.register("before-send.sagemaker.*", lambda request, **_: sent.append(request))
    moment = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
    with mock.patch.object(botocore.auth, "get_current_datetime", lambda: moment):
        for _ in range(3):
            sagemaker.list_models(NameContains="signed-alike")
    assert len({request.headers["Authorization"] for request in sent}) == 1, "of one second, signed alike"
    for request in sent:
        # Whole, the time in `amz-sdk-request` included: it is a part of what tells a request apart.
        again = {name: value for name, value in request.headers.items() if name != "Content-Length"}
        answer = requests.post(server.url + "/", data=request.body, headers=again, timeout=harness.WAIT_S)
        assert answer.status_code == 400 and "used before" in answer.text, "the very same request"


def test_a_changed_request_is_refused(server):
    request = sign(server, Nonce="changed")
    for change in [
        {"data": b"{ }"},
        {"url": server.url + "/?a=1"},
        {"url": server.url + "//a"},
        {"headers": {**request["headers"], "X-Amz-Target": "SageMaker.ListEndpoints"}},
        {"headers": {**request["headers"], "Nonce": "other"}},
        {"headers": {**request["headers"], "Authorization": request["headers"]["Authorization"][:-1]}},
        {"headers": {**request["headers"], "X-Amz-Meta-Added": "1"}},
    ]:
        answer = send(request, **change)
        assert answer.status_code == 400, (change, answer.text)
        assert answer.json()["__type"] in ("InvalidSignatureException", "IncompleteSignatureException")
    assert send(request).status_code == 200


def test_a_signature_is_for_one_service(server):
    answer = send(sign(server, service="logs"))
    assert (answer.status_code, answer.json()["__type"]) == (400, "InvalidSignatureException")
    assert "correct service: 'sagemaker'" in answer.json()["message"]


def test_a_session_token_belongs_to_its_key(server):
    assert client(server, "sagemaker", SESSION, aws_session_token=TOKEN).list_models()["Models"] is not None
    for options in [{"aws_session_token": "another"}, {}]:
        refused("UnrecognizedClientException", client(server, "sagemaker", SESSION, **options).list_models)
    refused("UnrecognizedClientException", client(server, "sagemaker", aws_session_token=TOKEN).list_models)


KEYS = ["plain", "a b/c+d", "ü/ሴ", "a//b", "(x)!*'", "100%/%2F", "q?x=1&y", "~tilde-_.", "a=b&c;d"]


@pytest.mark.parametrize("key", KEYS)
def test_objects_of_any_name_are_signed(server, key):
    s3 = client(server, "s3")
    s3.create_bucket(Bucket="odd")
    s3.put_object(Bucket="odd", Key=key, Body=b"content", Metadata={"a": "two  spaces"})
    assert s3.get_object(Bucket="odd", Key=key, Range="bytes=0-3")["Body"].read() == b"cont"
    assert key in [item["Key"] for item in s3.list_objects_v2(Bucket="odd", Prefix=key[:3])["Contents"]]
    for version in ["s3v4", "s3"]:
        signer = client(server, "s3", config=botocore.config.Config(signature_version=version))
        url = signer.generate_presigned_url("get_object", Params={"Bucket": "odd", "Key": key})
        for _ in range(2):
            assert requests.get(url, timeout=harness.WAIT_S).content == b"content", version
        assert requests.get(url.replace("odd", "odb", 1), timeout=harness.WAIT_S).status_code == 403
    s3.delete_object(Bucket="odd", Key=key)


def test_presigned_urls_end(server):
    s3 = client(server, "s3", config=botocore.config.Config(signature_version="s3v4"))
    s3.create_bucket(Bucket="odd")
    s3.put_object(Bucket="odd", Key="k", Body=b"content")
    sign_url = lambda method, **options: s3.generate_presigned_url(method, Params={"Bucket": "odd", "Key": "k"}, **options)
    with at(-2):
        url = sign_url("get_object", ExpiresIn=60)
    answer = requests.get(url, timeout=harness.WAIT_S)
    assert answer.status_code == 403 and "<Code>AccessDenied</Code>" in answer.text and "expired" in answer.text
    with at(-20):
        url = sign_url("put_object", ExpiresIn=3600)
    assert requests.put(url, data=b"new", timeout=harness.WAIT_S).status_code == 200
    assert s3.get_object(Bucket="odd", Key="k")["Body"].read() == b"new"
    assert requests.put(url.replace("X-Amz-Expires=3600", "X-Amz-Expires=7200"), data=b"x", timeout=9).status_code == 403


def test_a_body_must_be_the_one_that_was_signed(server):
    s3 = client(server, "s3")
    s3.create_bucket(Bucket="odd")
    request = sign(server, "s3", method="PUT", path="/odd/body", body=b"right", **{"Content-Type": "text/plain"})
    answer = send(request, data=b"wrong")
    assert answer.status_code == 400 and "XAmzContentSHA256Mismatch" in answer.text, answer.text
    refused("404", s3.head_object, Bucket="odd", Key="body")


def chunked(server, pieces, secret=ADMIN[1]):
    """A body in signed chunks, by AWS's description of them."""
    empty = hashlib.sha256(b"").hexdigest()
    request = botocore.awsrequest.AWSRequest("PUT", server.url + "/odd/chunks", data=b"")
    request.headers["X-Amz-Decoded-Content-Length"] = str(sum(map(len, pieces)))
    request.headers["Content-Encoding"] = "aws-chunked"
    signer = botocore.auth.S3SigV4Auth(botocore.credentials.Credentials(ADMIN[0], secret), "s3", hosting.REGION)
    with mock.patch.object(signer, "payload", lambda _: "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"):
        signer.add_auth(request)
    headers = dict(request.headers.items())
    moment, before = headers["X-Amz-Date"], headers["Authorization"].rsplit("=", 1)[1]
    scope = f"{moment[:8]}/{hosting.REGION}/s3/aws4_request"
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    body = b""
    for piece in [*pieces, b""]:
        lines = ["AWS4-HMAC-SHA256-PAYLOAD", moment, scope, before, empty, hashlib.sha256(piece).hexdigest()]
        before = hmac.new(key, "\n".join(lines).encode(), hashlib.sha256).hexdigest()
        body += b"%x;chunk-signature=%s\r\n%s\r\n" % (len(piece), before.encode(), piece)
    return {"method": "PUT", "url": request.url, "data": body, "headers": headers}


def test_signed_chunks_are_verified(server):
    s3 = client(server, "s3")
    s3.create_bucket(Bucket="odd")
    assert send(chunked(server, [b"a" * 70_000, b"b" * 5])).status_code == 200
    assert s3.get_object(Bucket="odd", Key="chunks")["Body"].read() == b"a" * 70_000 + b"b" * 5
    request = chunked(server, [b"a" * 70_001])
    answer = send(request, data=request["data"].replace(b"aaa", b"aba", 1))
    assert answer.status_code == 403 and "SignatureDoesNotMatch" in answer.text, answer.text
    assert len(s3.get_object(Bucket="odd", Key="chunks")["Body"].read()) == 70_005, "the old object stays"


def test_allow_lists_hold(server, endpoint):
    invoke = {"EndpointName": "churn", "ContentType": "text/csv", "Body": ",".join(["1"] * 30)}
    runtime = client(server, "sagemaker-runtime", SCORER)
    assert runtime.invoke_endpoint(**invoke)["ResponseMetadata"]["HTTPStatusCode"] == 200
    for name in ["other", "absent"]:
        message = refused("AccessDeniedException", runtime.invoke_endpoint, 403, **{**invoke, "EndpointName": name})
        assert f"{SCORER[0]} is not authorized to perform: sagemaker:InvokeEndpoint on resource: endpoint/{name}" in message
    refused("AccessDeniedException", client(server, "sagemaker", SCORER).list_models)
    refused("AccessDeniedException", client(server, "sagemaker", SCORER).describe_endpoint, EndpointName="churn")
    assert client(server, "sts", SCORER).get_caller_identity()["Account"] == hosting.ACCOUNT
    reader = client(server, "s3", READER)
    reader.get_object(Bucket="models", Key="model.tar.gz")
    refused("AccessDenied", reader.put_object, 403, Bucket="models", Key="a", Body=b"")
    refused("AccessDenied", reader.list_objects_v2, 403, Bucket="other")
    copy = {"Bucket": "models", "Key": "copy", "CopySource": {"Bucket": "models", "Key": "model.tar.gz"}}
    refused("AccessDenied", reader.copy_object, **copy)


def invoke(url, name="churn", **options):
    row = ",".join(["1"] * 30)
    headers = {"Content-Type": "text/csv", **options.pop("headers", {})}
    return requests.post(f"{url}/endpoints/{name}/invocations", data=row, headers=headers, timeout=harness.WAIT_S, **options)


def test_a_bearer_token_invokes_and_nothing_else(server, endpoint):
    bearer = {"Authorization": f"Bearer {BEARER}"}
    assert invoke(server.url, headers=bearer).status_code == 200
    for answer in [
        invoke(server.url, "other", headers=bearer),
        invoke(server.url, headers={"Authorization": "Bearer wrong"}),
        invoke(server.url),
        requests.get(server.url + "/models/model.tar.gz", headers=bearer, timeout=harness.WAIT_S),
    ]:
        assert answer.status_code == 403, answer.text
    assert invoke(server.url).headers["x-amzn-ErrorType"] == "MissingAuthenticationToken"


def test_a_key_has_its_rate(server):
    sagemaker = client(server, "sagemaker", SLOW)
    sagemaker.list_models()
    refused("ThrottlingException", sagemaker.list_models, status=400)


def test_credentials_are_read_again_when_they_change(tmp_path):
    file = write(tmp_path / "credentials.json", document())
    with hosting.up(tmp_path / "data", "--credentials", file) as server:
        client(server, "sagemaker").list_models()
        write(file, "{")
        server.wait_for_log(lambda line: "the new credentials are refused" in line)
        client(server, "sagemaker").list_models()
        new = ("AKIDNEW", "a new secret")
        write(file, {"keys": [entry(new, ["*"])]})
        server.wait_for_log(lambda line: "credentials read again" in line)
        client(server, "sagemaker", new).list_models()
        refused("UnrecognizedClientException", client(server, "sagemaker").list_models)


def test_an_open_server_stays_on_this_machine(tmp_path):
    command = [str(harness.program("clary")), "up", "--listen", "0.0.0.0:0", "--data", str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=harness.WAIT_S)
    assert result.returncode != 0
    assert "expected --credentials to listen beyond this machine" in result.stdout + result.stderr


class Authority:
    """A maker of client certificates."""

    def __init__(self, folder, name):
        self.folder, self.key = folder, ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.file = folder / f"{name}.pem"
        extension = x509.BasicConstraints(ca=True, path_length=None)
        self.file.write_bytes(self._certificate(self.name, self.key, extension))

    def _certificate(self, name, key, *extensions):
        now = datetime.datetime.now(datetime.timezone.utc)
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(self.name).public_key(key.public_key())
        builder = builder.serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now - datetime.timedelta(hours=1))
        builder = builder.not_valid_after(now + datetime.timedelta(hours=1))
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def client(self, common_name, dns_name):
        """The files of a certificate and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        certificate, secret = (self.folder / f"{common_name}.{kind}" for kind in ("crt", "key"))
        certificate.write_bytes(self._certificate(name, key, x509.SubjectAlternativeName([x509.DNSName(dns_name)])))
        private = serialization.PrivateFormat.PKCS8
        secret.write_bytes(key.private_bytes(serialization.Encoding.PEM, private, serialization.NoEncryption()))
        return str(certificate), str(secret)


def test_tls_with_a_certificate_of_our_own_and_of_clients(tmp_path, booster):
    authority, stranger = Authority(tmp_path, "authority"), Authority(tmp_path, "stranger")
    file = write(tmp_path / "credentials.json", document())
    flags = ["--credentials", file, "--tls-generate", "--tls-client-ca", authority.file]
    with hosting.up(tmp_path / "data", *flags) as server:
        server.url = server.url.replace("http:", "https:")
        trust = str(tmp_path / "data" / "tls-certificate.pem")
        kept = open(trust).read()
        clients = hosting.Clients(server, **keys(ADMIN), verify=trust)
        # Over TLS boto3 sends its bodies unsigned, in chunks with a checksum behind them.
        clients.deploy("churn", clients.upload(booster))
        for names in [(CLIENT, "a.example.com"), ("somebody", CLIENT)]:
            assert invoke(server.url, cert=authority.client(*names), verify=trust).status_code == 200, names
        other = authority.client("somebody", "else.example.com")
        assert invoke(server.url, cert=other, verify=trust).status_code == 403
        assert invoke(server.url, verify=trust).status_code == 403
        with pytest.raises(requests.exceptions.ConnectionError):
            invoke(server.url, cert=stranger.client(CLIENT, CLIENT), verify=trust)
        listing = requests.get(server.url + "/", cert=authority.client(CLIENT, CLIENT), verify=trust, timeout=harness.WAIT_S)
        assert listing.status_code == 403, "certificates are good for invocations alone"
    with hosting.up(tmp_path / "data", *flags):
        assert open(trust).read() == kept, "the certificate is kept"
