#!/usr/bin/env python3
"""Writes the golden corpus of XGBoost models and predictions beside this file.

    python3 generate.py [--venvs DIR] [VERSION ...]

Every version of XGBoost gets its own virtual environment (kept in --venvs when given, else made in a temporary folder
and removed). Inside it this same file runs with --worker: it trains small seeded models, saves each in every format
that the version writes, and records what the version's own CPU predictor answers. Floats are stored as the bits of
float32, so that a test compares exactly. A case that a version cannot do is reported on standard output, not written.

Layout: VERSION/CASE/{case.json, model.json, model.ubj, model.bin, model.pkl, model.pN.pkl}.

case.json:
    version, objective, params, num_round
    features            number of columns
    inputs              rows of float32 bits; null is a missing value (NaN)
    margins             {shape, bits}: predict(output_margin=True), all trees
    predictions         {shape, bits}: predict(), all trees, as Booster.predict does since 1.4
    best                null, or what early stopping gave: {iteration, margins, predictions} where the predictions use
                        the trees up to the best iteration, as the scikit-learn wrapper and SageMaker's container do
    feature_names       as given to the DMatrix, or null
    files               the formats written: file name -> what it is
"""

import argparse
import json
import os
import pickle
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))

# The last version that numpy 1.26 and Python 3.11 run of each line, and the releases the containers use.
VERSIONS = ["0.90", "1.0.2", "1.2.1", "1.3.3", "1.5.2", "1.6.2", "1.7.6", "2.0.3", "2.1.4", "3.0.5", "3.1.2", "3.2.0", "3.4.1"]
# These get every objective; the others a handful.
FULL = {"1.7.6", "2.1.4", "3.2.0"}


# ---------------------------------------------------------------- driver


def make_python(version, venvs):
    """The interpreter (and environment) that imports this version."""
    home = os.path.join(venvs, version)
    python = os.path.join(home, "bin", "python")
    if not os.path.exists(os.path.join(home, "done")):
        subprocess.run([sys.executable, "-m", "venv", home], check=True)
        # No dependencies beyond these two: the GPU libraries are not used.
        subprocess.run([python, "-m", "pip", "install", "-q", "numpy==1.26.4", "scipy==1.11.4"], check=True)
        if int(version.split(".")[0]) == 3 and int(version.split(".")[1]) > 2:
            # Asks for a newer Python than may be here; its one native library does not care.
            wheels = os.path.join(home, "wheels")
            subprocess.run([python, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:", "--python-version",
                            "3.13", "--platform", "manylinux_2_28_x86_64", "-d", wheels, "xgboost-cpu==" + version],
                           check=True)
            site = subprocess.run([python, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])"], check=True,
                                  capture_output=True, text=True).stdout.strip()
            for wheel in os.listdir(wheels):
                shutil.unpack_archive(os.path.join(wheels, wheel), site, "zip")
        else:
            subprocess.run([python, "-m", "pip", "install", "-q", "--no-deps", "xgboost==" + version], check=True)
        open(os.path.join(home, "done"), "w").close()
    return python


def drive(versions, venvs):
    for version in versions:
        python = make_python(version, venvs)
        out = os.path.join(HERE, version)
        shutil.rmtree(out, ignore_errors=True)
        subprocess.run([python, os.path.abspath(__file__), "--worker", version, out], check=True,
                       env=dict(os.environ, OMP_NUM_THREADS="1", PYTHONWARNINGS="ignore"))


# ---------------------------------------------------------------- worker


def release(version):
    return tuple(int(part) for part in version.split("."))


def data(np):
    """Training rows with holes, and scoring rows: fresh ones, training ones, all missing, all zero, huge."""
    random = np.random.RandomState(7)
    train = random.normal(size=(80, 6)).astype(np.float32)
    train[:, 1] = np.round(train[:, 1] * 4) / 4  # Ties, and values that thresholds fall on.
    train[random.uniform(size=train.shape) < 0.1] = np.nan
    filled = np.nan_to_num(train)
    signal = filled[:, 0] * 2 - filled[:, 1] + np.abs(filled[:, 2]) + 0.3 * random.normal(size=80)
    score = random.normal(size=(10, 6)).astype(np.float32)
    score[random.uniform(size=score.shape) < 0.2] = np.nan
    special = np.array([[np.nan] * 6, [0.0] * 6, [-0.0] * 6, [1e30, -1e30] * 3, [1e-40, -1e-40] * 3, [-5.0, 5.0] * 3],
                       dtype=np.float32)
    return train, signal.astype(np.float32), np.vstack([score, train[:4], special])


def categorical_data(np):
    """Column 0 and 3 are categories 0..11; the scoring rows hold unseen and impossible ones too."""
    random = np.random.RandomState(11)
    train = random.normal(size=(120, 5)).astype(np.float32)
    train[:, 0] = random.randint(0, 12, size=120)
    train[:, 3] = random.randint(0, 40, size=120)
    signal = np.sin(train[:, 0] * 1.7) * 2 + (train[:, 3] % 3) + train[:, 1]
    train[random.uniform(size=train.shape) < 0.05] = np.nan
    score = train[:16].copy()
    score[0, 0] = 11
    score[1, 0] = 12
    score[2, 0] = 31
    score[3, 0] = 32
    score[4, 0] = 5000
    score[5, 0] = 16777216.0
    score[6, 0] = -1
    score[7, 0] = -0.5
    score[8, 0] = 2.75
    score[9, 3] = 3e9
    score[10, 3] = 40
    score[11, 3] = 64
    score[12] = np.nan
    return train, signal.astype(np.float32), score


class Case:
    """One model: what to train and on what."""

    def __init__(self, name, objective, label="value", params=None, num_round=3, since="0", until="99", handful=False,
                 categorical=False, early=False, feature_names=None, pickles=False, attributes=None):
        self.name, self.objective, self.label, self.num_round = name, objective, label, num_round
        self.params, self.since, self.until, self.handful = params or {}, since, until, handful
        self.categorical, self.early, self.feature_names = categorical, early, feature_names
        self.pickles, self.attributes = pickles, attributes or {}


def cases():
    dart = {"booster": "dart", "rate_drop": 0.5, "skip_drop": 0.0, "one_drop": 1}
    linear = {"booster": "gblinear", "updater": "coord_descent", "lambda": 0.1}
    forest = {"num_parallel_tree": 3, "subsample": 0.7, "colsample_bynode": 0.7}
    vector = {"multi_strategy": "multi_output_tree", "tree_method": "hist"}
    yield Case("squarederror", "reg:squarederror", handful=True, pickles=True, since="0.90")
    yield Case("linear", "reg:linear", until="1.99")
    yield Case("squaredlogerror", "reg:squaredlogerror", "positive", since="1.0")
    yield Case("reg_logistic", "reg:logistic", "binary")
    yield Case("binary_logistic", "binary:logistic", "binary", params={"max_depth": 3}, handful=True, pickles=True)
    yield Case("binary_logitraw", "binary:logitraw", "binary", handful=True)
    yield Case("binary_hinge", "binary:hinge", "binary")
    yield Case("pseudohubererror", "reg:pseudohubererror", since="1.2", params={"huber_slope": 1.5})
    yield Case("absoluteerror", "reg:absoluteerror", since="1.7")
    yield Case("quantileerror", "reg:quantileerror", since="2.0", params={"quantile_alpha": 0.7, "tree_method": "hist"})
    yield Case("quantileerror_three", "reg:quantileerror", since="2.0", handful=True,
               params={"quantile_alpha": [0.1, 0.5, 0.9], "tree_method": "hist"})
    yield Case("expectileerror", "reg:expectileerror", since="3.3", handful=True, params={"expectile_alpha": 0.7})
    yield Case("poisson", "count:poisson", "count", handful=True)
    yield Case("gamma", "reg:gamma", "positive")
    yield Case("tweedie", "reg:tweedie", "count", params={"tweedie_variance_power": 1.3})
    yield Case("multi_softmax", "multi:softmax", "class", params={"num_class": 3})
    yield Case("multi_softprob", "multi:softprob", "class", params={"num_class": 3}, handful=True)
    yield Case("rank_pairwise", "rank:pairwise", "rank")
    yield Case("rank_ndcg", "rank:ndcg", "rank")
    yield Case("rank_map", "rank:map", "relevant")
    yield Case("cox", "survival:cox", "censored")
    for distribution in ["normal", "logistic", "extreme"]:
        yield Case("aft_" + distribution, "survival:aft", "interval", since="1.2",
                   params={"aft_loss_distribution": distribution, "aft_loss_distribution_scale": 1.2})

    yield Case("dart_squarederror", "reg:squarederror", params=dart, num_round=5, handful=True, since="0.90", pickles=True)
    yield Case("dart_multi", "multi:softprob", "class", params=dict(dart, num_class=3))
    yield Case("dart_forest", "reg:squarederror", params=dict(dart, **forest))
    yield Case("linear_squarederror", "reg:squarederror", params=linear, handful=True, since="0.90", pickles=True)
    yield Case("linear_logistic", "binary:logistic", "binary", params=linear)
    yield Case("linear_multi", "multi:softprob", "class", params=dict(linear, num_class=3), handful=True)

    yield Case("forest", "binary:logistic", "binary", params=forest, handful=True)
    yield Case("forest_multi", "multi:softprob", "class", params=dict(forest, num_class=3), num_round=2)
    yield Case("exact_pruned", "reg:squarederror", params={"tree_method": "exact", "gamma": 20.0, "max_depth": 4},
               handful=True, since="0.90")
    yield Case("approx", "reg:squarederror", params={"tree_method": "approx"}, since="0.90")
    yield Case("lossguide", "reg:squarederror", since="0.90",
               params={"tree_method": "hist", "grow_policy": "lossguide", "max_leaves": 6, "max_depth": 0})
    yield Case("stumps", "binary:logistic", "binary", params={"min_child_weight": 1e6}, handful=True)
    yield Case("base_score", "binary:logistic", "binary", params={"base_score": 0.3}, handful=True)
    yield Case("base_score_poisson", "count:poisson", "count", params={"base_score": 2.5})
    yield Case("base_score_multi", "multi:softprob", "class", params={"num_class": 3, "base_score": 0.3})
    yield Case("early_stopping", "reg:squarederror", num_round=12, early=True, handful=True, since="0.90",
               params={"eta": 1.0})
    yield Case("early_stopping_multi", "multi:softprob", "class", num_round=12, early=True,
               params={"eta": 1.0, "num_class": 3})
    yield Case("feature_names", "reg:squarederror", handful=True, since="0.90",
               feature_names=["age", "length_of_stay", "b", "a", "e", "f2"], attributes={"note": "two\nlines \"quoted\""})
    yield Case("feature_names_unicode", "reg:squarederror", since="1.5",
               feature_names=["gr\u00f6\u00dfe", "\u9577\u3055", "c\tt", "d\\e", "\U0001f333", "q\"q"])
    yield Case("one_hot", "reg:squarederror", since="1.6", categorical=True, handful=True,
               params={"tree_method": "hist", "max_cat_to_onehot": 100})
    yield Case("partition", "reg:squarederror", since="1.6", categorical=True, handful=True, pickles=True,
               params={"tree_method": "hist", "max_cat_to_onehot": 1})
    yield Case("partition_approx", "reg:squarederror", since="1.7", categorical=True,
               params={"tree_method": "approx", "max_cat_to_onehot": 1})
    yield Case("targets", "reg:squarederror", "two", since="1.7", handful=True, params={"tree_method": "hist"})
    yield Case("targets_logistic", "binary:logistic", "two_binary", since="1.7", params={"tree_method": "hist"})
    yield Case("vector_leaf", "reg:squarederror", "two", since="2.0", handful=True, params=vector)
    yield Case("vector_leaf_multi", "multi:softprob", "class", since="2.0", params=dict(vector, num_class=3))
    yield Case("vector_leaf_logistic", "binary:logistic", "two_binary", since="2.0", params=vector)
    yield Case("vector_leaf_forest", "reg:squarederror", "two", since="2.0",
               params=dict(vector, num_parallel_tree=2, subsample=0.7))
    yield Case("base_score_vector", "reg:squarederror", "two", since="3.1", handful=True,
               params={"base_score": [0.25, -1.5]})
    yield Case("base_score_vector_multi", "multi:softprob", "class", since="3.1",
               params={"base_score": [0.1, 0.2, 0.7], "num_class": 3})
    yield Case("no_trees", "reg:squarederror", num_round=0, since="0.90")


def labels(np, kind, signal):
    """The label a case learns from one signal."""
    random = np.random.RandomState(3)
    terciles = np.digitize(signal, np.percentile(signal, [33, 66])).astype(np.float32)
    return {
        "value": lambda: signal,
        "positive": lambda: np.exp(signal / 4).astype(np.float32),
        "binary": lambda: (signal > 0.5).astype(np.float32),
        "count": lambda: np.floor(np.exp(signal / 3)).astype(np.float32),
        "class": lambda: terciles,
        "rank": lambda: terciles,
        "relevant": lambda: (signal > 0.5).astype(np.float32),
        "censored": lambda: (np.exp(signal / 3) * np.where(random.uniform(size=len(signal)) < 0.3, -1, 1)).astype(np.float32),
        "two": lambda: np.stack([signal, -2 * signal + 1], axis=1).astype(np.float32),
        "two_binary": lambda: np.stack([signal > 0.5, signal < 0], axis=1).astype(np.float32),
    }[kind]()


def train(xgb, np, case):
    rows, signal, score = categorical_data(np) if case.categorical else data(np)
    extra = {}
    if case.categorical:
        extra = {"feature_types": ["c", "q", "q", "c", "q"], "enable_categorical": True}
    if case.feature_names:
        extra["feature_names"] = case.feature_names
    if case.label == "interval":
        matrix = xgb.DMatrix(rows, **extra)
        low = np.exp(signal / 4).astype(np.float32)
        matrix.set_float_info("label_lower_bound", low)
        matrix.set_float_info("label_upper_bound", np.where(signal > 1, np.inf, low * 1.5).astype(np.float32))
    else:
        matrix = xgb.DMatrix(rows, label=labels(np, case.label, signal), **extra)
    if case.objective.startswith("rank:"):
        matrix.set_group([20, 20, 20, 20])
    params = {"objective": case.objective, "max_depth": 2, "eta": 0.5, "seed": 5, "nthread": 1}
    params.update(case.params)
    arguments = {"num_boost_round": case.num_round}
    if case.early:
        half = np.random.RandomState(1).permutation(len(rows))
        target = labels(np, case.label, signal)
        matrix = xgb.DMatrix(rows[half[:40]], label=target[half[:40]])
        held = xgb.DMatrix(rows[half[40:]], label=target[half[40:]])
        arguments.update(evals=[(held, "held")], early_stopping_rounds=3, verbose_eval=False)
    booster = xgb.train(params, matrix, **arguments)
    if case.attributes:
        booster.set_attr(**case.attributes)
    return booster, params, score, xgb.DMatrix(score, **extra)


def bits(np, array):
    array = np.ascontiguousarray(array, dtype=np.float32)
    return {"shape": list(array.shape), "bits": [int(b) for b in array.reshape(-1).view(np.uint32)]}


def save(version, booster, folder, case):
    """Every format the version writes."""
    number, files = release(version), {}

    def as_model(extension, name, what):
        path = os.path.join(folder, "model." + extension)
        booster.save_model(path)
        os.rename(path, os.path.join(folder, name))
        files[name] = what

    if number >= (1, 0):
        as_model("json", "model.json", "json")
    if number >= (1, 6):
        as_model("ubj", "model.ubj", "ubjson")
    vectors = case.params.get("multi_strategy") == "multi_output_tree"
    if number < (3, 1) and not case.categorical and not vectors:
        as_model("deprecated" if number >= (2, 1) else "bin", "model.bin", "binary")
    if number < (1, 4) or case.pickles:
        protocols = {4: "model.pkl"}
        if case.pickles and number < (1, 4):
            protocols.update({2: "model.p2.pkl"})
            if case.name in ("squarederror", "binary_logistic"):
                protocols.update({0: "model.p0.pkl", 1: "model.p1.pkl", 3: "model.p3.pkl", 5: "model.p5.pkl"})
        for protocol, name in protocols.items():
            with open(os.path.join(folder, name), "wb") as file:
                pickle.dump(booster, file, protocol=protocol)
            files[name] = "pickle protocol %d" % protocol
    return files


def best_of(xgb, np, version, booster, case, matrix):
    if not case.early:
        return None
    iteration = int(booster.best_iteration)
    if release(version) < (1, 4):
        limit = {"ntree_limit": int(booster.best_ntree_limit)}
    else:
        limit = {"iteration_range": (0, iteration + 1)}
    return {"iteration": iteration, "margins": bits(np, booster.predict(matrix, output_margin=True, **limit)),
            "predictions": bits(np, booster.predict(matrix, **limit))}


def write_case(xgb, np, version, out, case):
    booster, params, score, matrix = train(xgb, np, case)
    # 0.90 drops trees of dart at random, also when it predicts, unless it is told how many to use.
    every = {}
    if release(version) < (1, 0) and params.get("booster") == "dart":
        every["ntree_limit"] = case.num_round * params.get("num_parallel_tree", 1)
    margins, predictions = booster.predict(matrix, output_margin=True, **every), booster.predict(matrix, **every)
    folder = os.path.join(out, case.name)
    os.makedirs(folder)
    try:
        files = save(version, booster, folder, case)
    except Exception:
        shutil.rmtree(folder)
        raise
    inputs = [[None if np.isnan(value) else int(np.float32(value).view(np.uint32)) for value in row] for row in score]
    document = {
        "version": version, "objective": case.objective, "params": params, "num_round": case.num_round,
        "features": int(score.shape[1]), "inputs": inputs, "margins": bits(np, margins),
        "predictions": bits(np, predictions), "best": best_of(xgb, np, version, booster, case, matrix),
        "feature_names": case.feature_names, "files": files,
    }
    with open(os.path.join(folder, "case.json"), "w") as file:
        json.dump(document, file, separators=(",", ":"), sort_keys=True)
        file.write("\n")


def work(version, out):
    import numpy as np
    import xgboost as xgb

    assert xgb.__version__ == version, xgb.__version__
    written, skipped = 0, []
    for case in cases():
        if not (release(case.since) <= release(version) <= release(case.until)):
            continue
        if not (case.handful or version in FULL):
            continue
        try:
            write_case(xgb, np, version, out, case)
            written += 1
        except Exception as reason:
            skipped.append("%s: %s" % (case.name, str(reason).strip().splitlines()[-1][:160] if str(reason).strip() else repr(reason)))
    print("%s: %d cases written" % (version, written))
    for line in skipped:
        print("  skipped " + line)


def main():
    parser = argparse.ArgumentParser(description="Writes the golden corpus of XGBoost models.")
    parser.add_argument("versions", nargs="*", default=VERSIONS)
    parser.add_argument("--venvs", help="where the virtual environments are kept")
    parser.add_argument("--worker", nargs=2, metavar=("VERSION", "OUT"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        work(*arguments.worker)
    elif arguments.venvs:
        drive(arguments.versions or VERSIONS, arguments.venvs)
    else:
        with tempfile.TemporaryDirectory() as venvs:
            drive(arguments.versions or VERSIONS, venvs)


if __name__ == "__main__":
    main()
