"""Writes this folder: a small artifact of every family that `clary-train` writes as safetensors, and `answers.json`, what `clary serve`
answers to a few rows. Artifacts of an earlier version are served by a later one with the same bits: run this only to add to it.

    make setup && cargo build --bins && .venv/bin/python tests/golden/families/generate.py NAME…
"""

import json
import pathlib
import subprocess
import sys
import tarfile
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "sdk"))

import harness  # noqa: E402
import numpy as np  # noqa: E402
from families import records  # noqa: E402

FEATURES, ROWS = 5, 120
FAMILIES = {
    "linear-learner": (True, {"predictor_type": "binary_classifier", "num_models": 1, "epochs": 2}),
    "kmeans": (False, {"k": 3}),
    "pca": (False, {"num_components": 2, "mini_batch_size": 50}),
    "knn": (True, {"k": 3, "predictor_type": "classifier", "sample_size": 40}),
    "knn-ivfpq": (
        True,
        {
            "k": 3,
            "predictor_type": "regressor",
            "sample_size": 120,
            "index_type": "faiss.IVFPQ",
            "faiss_index_pq_m": 2,
            "dimension_reduction_type": "sign",
            "dimension_reduction_target": 4,
        },
    ),
    "factorization-machines": (True, {"predictor_type": "binary_classifier", "num_factors": 2, "mini_batch_size": 20}),
    "randomcutforest": (False, {"num_trees": 50, "num_samples_per_tree": 3}),
    "lda": (False, {"num_topics": 2, "mini_batch_size": ROWS}),
}


def main():
    draw = np.random.default_rng(3)
    rows = draw.integers(0, 6, (ROWS, FEATURES)).astype(np.float32)
    labels = (rows[:, 0] > rows[:, 1]).astype(np.float32)
    path = HERE / "answers.json"
    answers = json.loads(path.read_text()) if path.exists() else {"rows": rows[:4].tolist(), "answers": {}}
    for name in sys.argv[1:] or FAMILIES:
        is_labelled, settings = FAMILIES[name]
        algorithm = name.split("-ivfpq")[0]
        with tempfile.TemporaryDirectory() as place:
            folder = pathlib.Path(place)
            (folder / "rows.pbr").write_bytes(records(rows, labels if is_labelled else None))
            command = [harness.program("clary-train"), algorithm, "--train", folder / "rows.pbr", "--out", folder]
            for key, value in {"feature_dim": FEATURES, **settings}.items():
                command += ["--set", f"{key}={value}"]
            subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL)
            with tarfile.open(folder / "model.tar.gz") as archive:
                archive.extractall(HERE / name, filter="data")
        with harness.serve(HERE / name) as server:
            server.ready()
            body = json.dumps({"instances": [{"features": row} for row in answers["rows"]]})
            answers["answers"][name] = server.invoke(body, "application/json").json()
    path.write_text(json.dumps(answers, indent=1) + "\n")


if __name__ == "__main__":
    main()
