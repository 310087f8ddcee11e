"""Plans over planted trainables."""

from deepsight.space import choice, uniform, when
from deepsight.tune.plan import StudyPlan, resolve_study

SPACE = {
    "x": uniform(0.0, 1.0),
    "kind": choice("plain", "fancy"),
    "extra": when("kind", "fancy", uniform(0.0, 1.0)),
}


def make_plan(name="planted", space=None, trainable="tests.trainables:curve", **settings):
    values = {
        "study.trainable": trainable,
        "study.metric": "score",
        "study.trials": 30,
        "study.max_epochs": 9,
        "study.reduction_factor": 3,
    }
    values |= {f"study.{key}": value for key, value in settings.items()}
    plan = resolve_study(name, space or SPACE, values)
    assert isinstance(plan, StudyPlan)
    return plan
