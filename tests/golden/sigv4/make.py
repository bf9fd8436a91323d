"""Requests as botocore signs them, for the verifier's tests: `python make.py` writes botocore.json beside this file.

The clock and the ids are fixed, so that the same botocore writes the same file; tests/sdk/test_access.py compares.
"""

import datetime
import json
import pathlib
from unittest import mock
from urllib.parse import urlsplit

import botocore
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

FILE = pathlib.Path(__file__).with_name("botocore.json")

KEY_ID = "AKIDEXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
TOKEN = "IQoJb3JpZ2luX2VjEXAMPLE//////////token=="
NOW = datetime.datetime(2026, 11, 24, 9, 50, 46)

PATHS = [
    "/",
    "/endpoints/churn/invocations",
    "/endpoints/a-b_c.d~e/invocations",
    "/a%20b",
    "/a+b/c:d/e@f",
    "/%E1%88%B4",
    "//a//b/",
    "/a/./b/../c",
    "/a/b/..",
    "/a(b)!*'c",
    "/100%25/%2F",
]

QUERIES = [
    "",
    "b=2&a=1",
    "a=2&a=1&a=",
    "uploads",
    "list-type=2&prefix=a%2Fb%20c&delimiter=%2F&encoding-type=url",
    "a-b=1&a=2&a.b=3&a_b=4&A=5",
    "x=%E1%88%B4&y=%2B&z=~",
    "k=a=b=c",
]

HEADERS = [
    [],
    [("X-Amzn-SageMaker-Custom-Attributes", "  a   b  "), ("Accept", "application/json")],
    [("X-Amz-Meta-Same", "one"), ("X-Amz-Meta-Same", "two"), ("Content-Type", "text/csv; header=present")],
    [("Zeta", "\ta\tb "), ("alpha", 'quoted "a   b"'), ("Empty", "")],
    [("User-Agent", "Boto3/1"), ("Expect", "100-continue"), ("X-Amzn-Trace-Id", "Root=1"), ("Range", "bytes=0-9")],
]


def signers(token):
    """Every signer of botocore that clients of this server use, by name."""
    credentials = Credentials(KEY_ID, SECRET, token)
    return {
        "sagemaker": auth.SigV4Auth(credentials, "sagemaker", "us-east-1"),
        "monitoring": auth.SigV4Auth(credentials, "monitoring", "eu-central-1"),
        "s3": auth.S3SigV4Auth(credentials, "s3", "us-west-2"),
        "sagemaker presigned": auth.SigV4QueryAuth(credentials, "sagemaker", "us-east-1", expires=60),
        "s3 presigned": auth.S3SigV4QueryAuth(credentials, "s3", "us-west-2", expires=604800),
        "s3 presigned v2": auth.HmacV1QueryAuth(credentials, expires=3600),
    }


def case(name, signer, method, path, query, headers, body, context=None):
    """One request, signed, as it goes out on the wire."""
    url = "http://127.0.0.1:8080" + path + ("?" + query if query else "")
    request = AWSRequest(method=method, url=url, data=body)
    for header, value in headers:
        request.headers.add_header(header, value)
    request.context.update(context or {})
    with (
        mock.patch.object(auth, "get_current_datetime", lambda: NOW),
        mock.patch.object(auth.time, "time", lambda: NOW.replace(tzinfo=datetime.timezone.utc).timestamp()),
    ):
        signer.add_auth(request)
    sent = urlsplit(request.url)
    return {
        "name": name,
        "service": name.split()[0],
        "method": method,
        "path": sent.path,
        "query": sent.query,
        "headers": [["host", "127.0.0.1:8080"], *([key.lower(), value] for key, value in request.headers.items())],
        "body": body.decode(),
    }


def cases():
    """All of them: each signer on each path, each query and each set of headers; with and without token."""
    found = []
    for token in [None, TOKEN]:
        for name, signer in signers(token).items():
            method = "GET" if "presigned" in name else "POST"
            body = b"" if "presigned" in name else b'1,2,"\xe1\x88\xb4"\n'
            for path in PATHS:
                found.append(case(name, signer, method, path, "", [], body))
            if "v2" in name:
                # Only what chooses a part of an object is signed.
                continue_with = ["uploads", "partNumber=2&uploadId=a%2Fb", "response-content-type=text%2Fcsv&prefix=x"]
            else:
                continue_with = QUERIES
            for query in continue_with:
                found.append(case(name, signer, method, "/bucket/key", query, [], body))
            if "presigned" not in name:
                for headers in HEADERS:
                    found.append(case(name, signer, "PUT", "/bucket/key", "", headers, body))
    trailer = {"checksum": {"request_algorithm": {"in": "trailer", "algorithm": "crc32"}}}
    extra = [("X-Amz-Trailer", "x-amz-checksum-crc32"), ("X-Amz-Decoded-Content-Length", "5")]
    chunked = b"5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n"
    found.append(case("s3", signers(None)["s3"], "PUT", "/bucket/key", "", extra, chunked, trailer))
    presigned = signers(None)["s3 presigned v2"]
    put = [("Content-Type", "text/csv"), ("X-Amz-Acl", "private")]
    found.append(case("s3 presigned v2", presigned, "PUT", "/bucket/key", "", put, b""))
    return found


def text():
    """What the file holds."""
    document = {"botocore": botocore.__version__, "key_id": KEY_ID, "secret": SECRET, "token": TOKEN, "cases": cases()}
    return json.dumps(document, indent=1, ensure_ascii=True) + "\n"


if __name__ == "__main__":
    FILE.write_text(text())
