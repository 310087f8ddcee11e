"""The simulation of claims, and the commands of whole rounds."""

import pytest

from analysis.claims.claim_files import load_claims
from analysis.claims.cli import make_parser as claims_parser
from benchmarks.claims_rounds import FILES, ROUNDS
from benchmarks.claims_truth import SITUATIONS, simulate
from deepsight.confirm.cli import make_parser as confirm_parser
from deepsight.tune.cli import make_parser as tune_parser

PARSERS = {
    "deepsight.tune": tune_parser,
    "deepsight.confirm": confirm_parser,
    "analysis.claims": claims_parser,
}


def test_large_true_effects_are_found_and_others_seldom_claimed():
    found = simulate(SITUATIONS[4], 12, 0)
    assert found["power"] > 0.9
    assert found["supported"] < 0.2
    assert 4 <= found["seeds"] <= 30


@pytest.mark.parametrize("name", ROUNDS)
def test_the_commands_of_a_round_are_ones(name):
    for module, *arguments in ROUNDS[name]:
        PARSERS[module]().parse_args(arguments)
    assert ROUNDS[name][-1][0] == "deepsight.confirm"
    assert load_claims(FILES[name]).claims
