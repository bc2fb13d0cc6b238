import numpy as np
import pytest

from trtdream.runtime.topk import top_k


def test_largest_first_and_ties_by_index():
    probabilities = np.array([0.1, 0.3, 0.05, 0.3, 0.25], dtype=np.float32)
    assert [index for index, _ in top_k(probabilities, 4)] == [1, 3, 4, 0]
    assert top_k(probabilities, 1) == [(1, pytest.approx(0.3))]


def test_all_where_there_are_fewer():
    assert top_k(np.array([0.25, 0.75]), 5) == [(1, 0.75), (0, 0.25)]


@pytest.mark.parametrize(("shape", "k"), [((1, 4), 2), ((4,), 0)])
def test_what_is_no_vector_is_refused(shape, k):
    with pytest.raises(ValueError, match="a vector"):
        top_k(np.zeros(shape), k)


def test_real_googlenet_sees_what_caffe_saw(truth, shared):
    # cat.jpg, as real Caffe classified it: n02123159 tiger cat among the labels' first five
    probs = np.load(truth / "real" / "googlenet_probs.npz")["probs"]
    labels = (shared / "ilsvrc12" / "synset_words.txt").read_text().splitlines()
    best = top_k(probs[0], 5)
    assert any("cat" in labels[index] for index, _ in best)
    assert [p for _, p in best] == sorted(map(float, probs[0]), reverse=True)[:5]
