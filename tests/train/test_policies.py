"""Learning rates against those real Caffe used."""

import json
from pathlib import Path

import pytest

from trtdream.recipe.schema import Solver
from trtdream.train.policies import POLICIES, learning_rate


def _settings(params: str) -> dict[str, object]:
    found: dict[str, object] = {"max_iter": 30}
    steps = []
    for param in params.split():
        key, _, value = param.partition(":")
        if key == "stepvalue":
            steps.append(int(value))
        else:
            found[key] = float(value)
    return {**found, "stepvalue": steps} if steps else found


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_rates_are_caffes(truth: Path, policy: str) -> None:
    """To the bit, but for multistep, which the truth has only as Caffe printed it (six digits)."""
    noted = json.loads((truth / "solver/lr_policies.json").read_text())[policy]
    solver = Solver.model_validate({"base_lr": 0.01, "lr_policy": policy, **_settings(noted["params"])})
    rates = [learning_rate(solver, iteration) for iteration in range(30)]
    if policy == "multistep":
        assert [float(f"{rate:.6g}") for rate in rates] == noted["lr"]
    else:
        assert rates == noted["lr"]


def test_every_policy_of_the_schema_exists() -> None:
    assert set(Solver.model_fields["lr_policy"].annotation.__args__) == set(POLICIES)


def test_warmup_rises_in_a_straight_line() -> None:
    solver = Solver(base_lr=1.0, max_iter=10, warmup=4)
    assert [learning_rate(solver, iteration) for iteration in range(6)] == [0.25, 0.5, 0.75, 1, 1, 1]
