"""The bars of lda: corpora of bars (5 × 5 words, topics are the rows and columns), trained and scored through the artifact, beside
scikit-learn's variational LDA on the same documents. Where gensim is installed (no requirement), its Lee corpus is trained on, too,
beside gensim's own LdaModel.
"""

import functools
import importlib.util
import json
import pathlib
import re
import tempfile

import _common
import numpy as np
from safetensors.numpy import load_file
from scipy.optimize import linear_sum_assignment
from sklearn.decomposition import LatentDirichletAllocation
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS, CountVectorizer

ALGORITHM = "lda"
line = functools.partial(_common.line, ALGORITHM)


def bars(topics, count, seed):
    """Counts, the mixtures that made them, and the topics."""
    random = np.random.default_rng(seed)
    grid = np.arange(25).reshape(5, 5)
    beta = np.zeros((topics, 25))
    for topic in range(topics):
        beta[topic, grid[topic] if topic < 5 else grid[:, topic - 5]] = 0.2
    mixtures = random.dirichlet(np.full(topics, 1 / topics), size=count)
    counts = np.array([random.multinomial(random.poisson(150), mixture @ beta) for mixture in mixtures])
    return counts, mixtures, beta


def trained(folder, train, test, topics):
    """Trains; alpha, beta, the likelihood of a test word, and the mixtures of the test documents."""
    folder = pathlib.Path(folder)
    for name, counts in [("train", train), ("test", test)]:
        np.savetxt(folder / f"{name}.csv", counts, fmt="%d", delimiter=",")
    settings = {"num_topics": topics, "feature_dim": train.shape[1], "mini_batch_size": len(train)}
    channels = {name: folder / f"{name}.csv" for name in ("train", "test")}
    archive, printed = _common.train(ALGORITHM, folder / "model", "text/csv;label_size=0", channels, settings)
    likelihood = float(re.search(r"test pwll <score>=(\S+)", printed).group(1))
    tensors = load_file(_common.member(archive, "model.safetensors", folder))
    lines = _common.answers(archive, folder / "test.csv", accept="application/jsonlines")
    mixtures = np.array([json.loads(line)["topic_mixture"] for line in lines])
    return tensors["alpha"], tensors["beta"], likelihood, mixtures


def matched(found, true):
    """For each true topic ours, by the best assignment, and how far it is."""
    distances = np.abs(found[:, None, :] - true[None, :, :]).sum(axis=2)
    ours, theirs = linear_sum_assignment(distances)
    order = ours[np.argsort(theirs)]
    return order, distances[order, np.arange(len(order))]


def variational(counts, topics, beta):
    """The mean topic error of scikit-learn's."""
    model = LatentDirichletAllocation(topics, max_iter=30, random_state=0).fit(counts)
    found = model.components_ / model.components_.sum(axis=1, keepdims=True)
    return matched(found, beta)[1].mean()


def recovery(folder):
    counts, _, beta = bars(5, 6000, 0)
    alpha, found, _, _ = trained(folder, counts, counts[:10], 5)
    _, errors = matched(found, beta)
    weight = np.abs(alpha - 0.2).max()
    reference = variational(counts[:3000], 5, beta)
    lines = [
        line("5 bars, 6000", "mean topic error", errors.mean(), reference, "≤ 0.03", errors.mean() <= 0.03),
        line("5 bars, 6000", "worst topic error", errors.max(), 0.0287, "≤ 0.05", errors.max() <= 0.05),
        line("5 bars, 6000", "worst error of alpha", weight, 0.005, "≤ 0.02", weight <= 0.02),
    ]
    counts, _, beta = bars(10, 10_000, 1)
    _, found, _, _ = trained(folder, counts, counts[:10], 10)
    ten = matched(found, beta)[1].mean()
    counts, _, beta = bars(5, 600, 2)
    _, found, _, _ = trained(folder, counts, counts[:10], 5)
    few = matched(found, beta)[1].mean()
    lines += [
        line("10 bars, 10000", "mean topic error", ten, 0.0144, "≤ 0.05", ten <= 0.05),
        line("5 bars, 600", "mean topic error", few, 0.041, "≤ 0.06", few <= 0.06),
    ]
    return lines


def inference(folder):
    counts, mixtures, beta = bars(5, 6000, 3)
    _, found, likelihood, inferred = trained(folder, counts[:5400], counts[5400:], 5)
    order, _ = matched(found, beta)
    error = np.abs(inferred[:, order] - mixtures[5400:]).sum(axis=1).mean()
    return [
        line("5 bars, last 600", "mean error of mixtures", error, 0.0744, "≤ 0.10", error <= 0.10),
        line("5 bars, last 600", "log likelihood a word", likelihood, -2.3356, "≥ -2.36", likelihood >= -2.36),
    ]


def lee(folder):
    """299 news, where the corpus is there: the likelihood of a word against that of unigrams."""
    package = importlib.util.find_spec("gensim")
    if package is None:
        return []
    from gensim.matutils import Dense2Corpus
    from gensim.models import LdaModel

    texts = (pathlib.Path(package.origin).parent / "test/test_data/lee_background.cor").read_text().splitlines()
    words = CountVectorizer(stop_words=list(ENGLISH_STOP_WORDS), min_df=5)
    counts = np.asarray(words.fit_transform(texts[:299]).todense())
    _, _, likelihood, _ = trained(folder, counts, counts, 10)
    share = counts.sum(axis=0) / counts.sum()
    unigrams = (counts.sum(axis=0) * np.log(share)).sum() / counts.sum()
    model = LdaModel(Dense2Corpus(counts.T), num_topics=10, passes=20, random_state=0)
    theirs = np.zeros((len(counts), 10))
    for document, mixture in enumerate(model.get_document_topics(Dense2Corpus(counts.T), minimum_probability=0)):
        theirs[document, [topic for topic, _ in mixture]] = [value for _, value in mixture]
    reference = (counts * np.log(theirs @ model.get_topics() + 1e-300)).sum() / counts.sum()
    bar = f"≥ unigrams + 0.1 = {unigrams + 0.1:.4f}"
    return [line("lee_background", "log likelihood a word", likelihood, reference, bar, likelihood >= unigrams + 0.1)]


def table():
    with tempfile.TemporaryDirectory() as folder:
        return recovery(folder) + inference(folder) + lee(folder)
