import pytest

from bridge.errors import ModelError
from bridge.model.selection import ModelChoice
from bridge.protocol import ErrorCode

DOWN = ModelError(ErrorCode.MODEL_UNAVAILABLE, "down")


def test_the_fallbacks_are_tried_in_order_and_once() -> None:
    choice = ModelChoice("a", ("b", "a", "c"))
    tried = []
    while choice.fall_back(DOWN):
        tried.append(choice.current)
    assert tried == ["b", "c"]
    assert choice.max_attempts is None


@pytest.mark.parametrize(
    "code", [ErrorCode.MODEL_PAYMENT, ErrorCode.MODEL_AUTH, ErrorCode.CONTEXT_OVERFLOW]
)
def test_what_another_model_would_not_mend_is_no_reason(code: ErrorCode) -> None:
    choice = ModelChoice("a", ("b",))
    assert not choice.fall_back(ModelError(code, "no"))
    assert choice.current == "a"


def test_a_person_chooses_and_the_same_name_again_changes_nothing() -> None:
    choice = ModelChoice("a", ("b",))
    assert choice.fall_back(DOWN)
    assert not choice.choose_model("a")
    assert choice.current == "b"
    assert choice.choose_model("c")
    assert choice.current == "c"
    assert choice.max_attempts is not None


def test_the_first_step_is_the_planners_and_the_rest_the_models() -> None:
    choice = ModelChoice("a", ("b",), "planner")
    assert choice.current == "planner"
    choice.leave_plan_model()
    assert choice.current == "a"
    choice.leave_plan_model()
    assert choice.fall_back(DOWN)
    assert (choice.current, choice.max_attempts) == ("b", None)


def test_without_the_planner_the_model_makes_the_first_step_too() -> None:
    choice = ModelChoice("a", ("b",), "planner")
    assert choice.fall_back(DOWN)
    assert choice.current == "a"
    choice.leave_plan_model()
    assert choice.current == "a"
    assert choice.fall_back(DOWN)
    assert choice.current == "b"


def test_a_name_said_before_the_first_step_counts_at_once() -> None:
    choice = ModelChoice("a", (), "planner")
    assert choice.choose_model("c")
    assert choice.current == "c"
    choice.leave_plan_model()
    assert choice.current == "c"


def test_a_planner_that_is_the_model_changes_nothing() -> None:
    choice = ModelChoice("a", ("b",), "a")
    choice.leave_plan_model()
    assert choice.current == "a"
    assert choice.fall_back(DOWN)
    assert choice.current == "b"
