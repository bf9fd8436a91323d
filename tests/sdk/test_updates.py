"""Deployments under load: whatever is deployed over whatever, no request fails of it.

CLARY_UPDATES and CLARY_RATE raise it to the full measure (50 updates under 1,000 requests a second)."""

import itertools
import json
import os
import subprocess
import threading
from collections import Counter

import pytest
import xgboost

import harness
import hosting

UPDATES = int(os.environ.get("CLARY_UPDATES", "8"))
RATE = int(os.environ.get("CLARY_RATE", "200"))


@pytest.fixture(scope="module")
def models(platform, booster, cancer):
    """Two models whose answers differ."""
    rows, labels = cancer
    other = xgboost.train({"objective": "binary:logistic", "max_depth": 2}, xgboost.DMatrix(rows, labels), 5)
    first = platform.create_model("updates-one", platform.upload(booster, "updates/one.tar.gz"))
    second = platform.create_model("updates-two", platform.upload(other, "updates/two.tar.gz"))
    return first, second


class Load:
    """An open-loop load on an endpoint, in runs of a few seconds, until it is stopped."""

    def __init__(self, server, endpoint, rows, folder):
        self.reports, self._failure, self._is_over = [], None, threading.Event()
        (folder / "row.csv").write_text(harness.to_csv(rows[:1]))
        self._report = folder / "report.json"
        arguments = ["--rate", RATE, "--poisson", "--connections", 8, "--duration", "3s", "--warm-up", "0s"]
        arguments += ["--content-type", "text/csv", "--data", folder / "row.csv"]
        self._command = harness.loadtest(self._report, f"{server.url}/endpoints/{endpoint}/invocations", *arguments)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        while not self._is_over.is_set() or not self.reports:
            done = subprocess.run(self._command, capture_output=True, text=True)
            if done.returncode != 0 and not self._report.exists():
                self._failure = done.stdout + done.stderr
                return
            self.reports.append(json.loads(self._report.read_text()))

    def stop(self):
        """Ends with the run under way; gives answers, errors and the answers by variant."""
        self._is_over.set()
        self._thread.join()
        assert self._failure is None, self._failure
        variants = Counter()
        for report in self.reports:
            variants.update(report["headers"]["x-amzn-invoked-production-variant"])
        total = lambda name: sum(report[name] for report in self.reports)
        return total("answers"), total("errors"), variants


def policies():
    """The four ways of a deployment, in turn."""
    at_once = {"TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}}
    canary = {
        "TrafficRoutingConfiguration": {
            "Type": "CANARY",
            "WaitIntervalInSeconds": 0,
            "CanarySize": {"Type": "INSTANCE_COUNT", "Value": 1},
        }
    }
    linear = {
        "TrafficRoutingConfiguration": {
            "Type": "LINEAR",
            "WaitIntervalInSeconds": 0,
            "LinearStepSize": {"Type": "CAPACITY_PERCENT", "Value": 25},
        }
    }
    rolling = {"MaximumBatchSize": {"Type": "CAPACITY_PERCENT", "Value": 50}, "WaitIntervalInSeconds": 0}
    blue_green = [{"BlueGreenUpdatePolicy": policy} for policy in (at_once, canary, linear)]
    return itertools.cycle([None, *blue_green, {"RollingUpdatePolicy": rolling}])


def test_no_request_fails_of_an_update(platform, models, cancer, tmp_path):
    first, second = (hosting.variant(model, count=4) for model in models)
    configs = [
        platform.create_config("updates-one", {"A": first, "B": second}),
        platform.create_config("updates-two", {"B": first, "C": second}),
    ]
    platform.create_endpoint("updates", configs[0])
    load = Load(platform.server, "updates", cancer[0], tmp_path)
    try:
        for update, policy in zip(range(UPDATES), policies()):
            wanted = configs[(update + 1) % 2]
            further = {} if policy is None else {"DeploymentConfig": policy}
            platform.sagemaker.update_endpoint(EndpointName="updates", EndpointConfigName=wanted, **further)
            found = platform.in_service("updates")
            assert found["EndpointConfigName"] == wanted and "FailureReason" not in found, found
    finally:
        answers, errors, variants = load.stop()
    print(f"{UPDATES} updates, {answers} answers, {errors} errors, by variant {dict(variants)}")
    assert errors == 0
    assert set(variants) == {"A", "B", "C"} and sum(variants.values()) == answers
    platform.delete_endpoint("updates")
