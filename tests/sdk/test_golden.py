"""Models that each XGBoost release wrote, served: the answers that release gave, in every request format."""

import json
import shutil

import numpy as np
import pytest

import harness

GOLDEN = harness.ROOT / "tests" / "golden" / "xgboost"
VERSIONS = sorted(path.name for path in GOLDEN.iterdir() if path.is_dir())


def floats(bits):
    """Answers, by their bit patterns."""
    return np.array(bits, dtype=np.uint32).view(np.float32)


def inputs(case):
    """Rows of bit patterns; null is missing."""
    rows = [[np.nan if word is None else np.uint32(word).view(np.float32) for word in row] for row in case["inputs"]]
    return np.array(rows, dtype=np.float32)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_releases_models_answer_as_it_did(version, tmp_path):
    cases = sorted(path.parent for path in (GOLDEN / version).glob("*/case.json"))
    assert cases
    with harness.Server(["serve", "--port", "0", "--multi-model", "--base-dir", tmp_path]) as server:
        for folder in cases:
            check(server, folder, tmp_path)


def check(server, folder, base):
    case = json.loads((folder / "case.json").read_text())
    expected = floats((case["best"] or case)["predictions"]["bits"])
    rows = inputs(case)
    for file in sorted(case["files"]):
        name = f"{folder.name}.{file}"
        place = base / "models" / name / "model"
        place.mkdir(parents=True)
        shutil.copy(folder / file, place / "xgboost-model")
        load = {"model_name": name, "url": str(place)}
        answer = server.session.post(server.url + "/models", json=load, timeout=harness.WAIT_S)
        assert answer.status_code == 200, f"{name}: {answer.text}"
        for content_type, write in harness.FORMATS.items():
            answer = server.invoke(write(rows), content_type, path=f"/models/{name}/invoke")
            assert answer.status_code == 200, f"{name}, {content_type}: {answer.text}"
            found = [row["score"] for row in answer.json()["predictions"]]
            np.testing.assert_allclose(
                np.ravel(found).astype(np.float32), expected, rtol=1e-6, atol=1e-7, err_msg=f"{name}, {content_type}"
            )
