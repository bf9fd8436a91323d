"""The manifests of tools/kubernetes: strictly valid, and about metrics and paths that the server has."""

import copy
import json
import pathlib
import re
import subprocess

import jsonschema
import kubernetes_validate
import numpy as np
import pytest
import xgboost as xgb
import yaml

import harness

MANIFESTS = harness.ROOT / "tools" / "kubernetes"
SCALED_OBJECT = json.loads((pathlib.Path(__file__).parent / "keda.schema.json").read_text())
KUBERNETES = "1.37"
METRIC = "clary_concurrent_requests_avg10s"


def documents():
    """Every document of every manifest, with the file it stands in."""
    return [
        pytest.param(document, id=f"{path.stem}-{document['kind']}-{document['metadata']['name']}")
        for path in sorted(MANIFESTS.glob("*.yaml"))
        for document in yaml.safe_load_all(path.read_text())
    ]


def of_kind(kind):
    """The documents of a kind."""
    return [item.values[0] for item in documents() if item.values[0]["kind"] == kind]


def validate(document):
    """Raises unless the document is what its kind's schema says."""
    if document["apiVersion"].startswith("keda.sh/"):
        jsonschema.Draft202012Validator(SCALED_OBJECT).validate(document)
    else:
        kubernetes_validate.validate(document, KUBERNETES, strict=True)


@pytest.mark.parametrize("document", documents())
def test_manifests_are_valid(document):
    validate(document)


def test_all_kinds_are_there():
    kinds = sorted({item.values[0]["kind"] for item in documents()})
    assert kinds == [
        "ConfigMap", "Deployment", "HorizontalPodAutoscaler", "Job", "PodDisruptionBudget", "ScaledObject", "Service",
    ]


@pytest.mark.parametrize(
    "kind, path, value",
    [
        ("ScaledObject", ["spec", "maxReplicaCount"], "20"),
        ("ScaledObject", ["spec", "triggers"], []),
        ("ScaledObject", ["spec", "triggers", 0, "metadata", "threshold"], 8),
        ("ScaledObject", ["spec", "triggers", 0, "metadata", "threshold"], "eight"),
        ("ScaledObject", ["spec", "fallback", "behavior"], "guess"),
        ("ScaledObject", ["spec", "maxReplicas"], 20),
        ("HorizontalPodAutoscaler", ["spec", "minReplica"], 1),
        ("HorizontalPodAutoscaler", ["spec", "maxReplicas"], "20"),
        ("Deployment", ["spec", "template", "spec", "containers", 0, "port"], 8080),
    ],
)
def test_what_is_not_valid_is_refused(kind, path, value):
    document = copy.deepcopy(of_kind(kind)[0])
    *parents, last = path
    place = document
    for step in parents:
        place = place[step]
    place[last] = value
    with pytest.raises((jsonschema.ValidationError, kubernetes_validate.ValidationError)):
        validate(document)


def test_a_pod_is_secure_and_drains():
    (deployment,) = of_kind("Deployment")
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["runAsUser"] > 0
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert not container["securityContext"]["allowPrivilegeEscalation"]
    assert container["resources"]["requests"]["memory"] == container["resources"]["limits"]["memory"]
    # The kill comes after preStop and the server's own limit of draining, 25 s by default.
    before_term = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod["terminationGracePeriodSeconds"] > before_term + 25
    assert "replicas" not in deployment["spec"], "it would undo the autoscaler at each apply"
    (service,) = of_kind("Service")
    assert service["spec"]["selector"].items() <= deployment["spec"]["template"]["metadata"]["labels"].items()
    assert service["spec"]["ports"][0]["targetPort"] == container["ports"][0]["name"]


def test_all_scale_the_same_deployment_by_the_same_metric():
    (deployment,) = of_kind("Deployment")
    (hpa,) = of_kind("HorizontalPodAutoscaler")
    name = deployment["metadata"]["name"]
    for scaler in [hpa, *of_kind("ScaledObject")]:
        reference = scaler["spec"]["scaleTargetRef"]
        assert (reference["kind"], reference["name"]) == ("Deployment", name)
    assert hpa["spec"]["metrics"][0]["pods"]["metric"]["name"] == METRIC
    (adapter,) = [item for item in of_kind("ConfigMap") if "config.yaml" in item["data"]]
    (rule,) = yaml.safe_load(adapter["data"]["config.yaml"])["rules"]
    assert rule["name"]["as"] == METRIC and rule["seriesQuery"].startswith(METRIC + "{")
    prometheus, push = of_kind("ScaledObject")
    assert METRIC in prometheus["spec"]["triggers"][0]["metadata"]["query"]
    assert {trigger["metadata"]["metric"] for trigger in push["spec"]["triggers"]} == {"concurrency", "backlog"}


def test_a_transforms_pods_are_its_shards_and_its_settings_are_flags():
    transform, merge = of_kind("Job")
    for job in (transform, merge):
        (container,) = job["spec"]["template"]["spec"]["containers"]
        assert container["command"] == ["clary", "transform"]
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    (shards,), (merging,) = [job["spec"]["template"]["spec"]["containers"][0]["args"] for job in (transform, merge)]
    assert (shards, merging) == (f"--shard=auto/{transform['spec']['completions']}", "--merge")
    assert transform["spec"]["completionMode"] == "Indexed" and merge["spec"]["suspend"]
    (settings,) = [item["data"] for item in of_kind("ConfigMap") if "CLARY_MODEL" in item["data"]]
    usage = subprocess.run([harness.program("clary"), "transform", "--help"], capture_output=True, text=True, check=True)
    names = {name for name in settings if name.startswith("CLARY_")}
    assert names <= set(re.findall(r"\bCLARY_[A-Z_]+\b", usage.stdout))


def test_the_server_has_what_the_manifests_ask_for(tmp_path):
    """The probes' and the scrape's paths answer, and the metric is on the page, on a real server."""
    rows = np.random.default_rng(0).random((50, 3))
    booster = xgb.train({"max_depth": 2}, xgb.DMatrix(rows, rows.sum(axis=1)), 2)
    (deployment,) = of_kind("Deployment")
    template = deployment["spec"]["template"]
    (container,) = template["spec"]["containers"]
    with harness.serve(harness.save(booster, tmp_path / "model")) as server:
        server.ready()
        for probe in ("readinessProbe", "startupProbe"):
            path = container[probe]["httpGet"]["path"]
            assert server.session.get(server.url + path, timeout=harness.WAIT_S).status_code == 200
        path = template["metadata"]["annotations"]["prometheus.io/path"]
        page = server.session.get(server.url + path, timeout=harness.WAIT_S).text
    assert re.search(rf'^{METRIC}{{endpoint="model",variant="AllTraffic"}} ', page, re.MULTILINE)
