"""The table of starts: known answers on small curves."""

from benchmarks.embedded_weights import epochs_to_equal, table

RUNS = {
    "d/3/new/0": [0.5, 0.7, 0.8],
    "d/3/new/1": [0.4, 0.5, 0.6],
    "d/3/old/0": [0.1, 0.6, 0.7],
    "d/3/old/1": [0.2, 0.5, 0.7],
}


def test_the_first_epoch_that_is_as_good_counts() -> None:
    curves = [RUNS["d/3/new/0"], RUNS["d/3/new/1"]]
    assert epochs_to_equal(curves, [0.7, 0.7]) == "2, never"


def test_the_table_compares_last_epochs_of_equal_seeds() -> None:
    new, old = table(RUNS, ["new", "old.pt"], "d", 3, 2)
    assert "70.0 +- 14.1" in new
    assert "new gains +0.0 [-127.1, +127.1], n=2 pairs; as good after epoch 2, never" in old
