import pytest
from hypothesis import given
from hypothesis import strategies as st
from nbformat.v4 import new_code_cell, new_notebook

from course_utils.automation.parameters import Parameter, check_names, read_parameters
from course_utils.errors import CourseError

CELL = """\
profile: str = "fast"  # fast or full
seed: int = 0
temperature: float = 0.7  # of the softmax; "#" is no comment here
names: list[str] = ["a", "b"]
mode: Literal["greedy", "sample"] = "greedy"
limit: int | None = None
untyped = 3
é: str = "é # not a comment"  # ein Wort
folder = Path("x")
print(seed)
"""


def notebook(source: str | None):
    tags = {"metadata": {"tags": ["parameters"]}}
    return new_notebook(
        cells=[new_code_cell("1"), new_code_cell(source or "", **tags)][: 1 + bool(source)]
    )


def test_the_parameters_cell_gives_names_types_defaults_and_meanings():
    found = read_parameters(notebook(CELL), "x")
    assert list(found.values()) == [
        Parameter("profile", "Literal['fast', 'full']", "fast", "fast or full"),
        Parameter("seed", "int", 0),
        Parameter("temperature", "float", 0.7, 'of the softmax; "#" is no comment here'),
        Parameter("names", "list[str]", ["a", "b"]),
        Parameter("mode", "Literal['greedy', 'sample']", "greedy"),
        Parameter("limit", "int | None", None),
        Parameter("untyped", "int", 3),
        Parameter("é", "str", "é # not a comment", "ein Wort"),
        Parameter("folder", "Any", "Path('x')"),
    ]


def test_a_notebook_without_a_tagged_cell_has_no_parameters_at_all():
    assert read_parameters(notebook(None), "x") is None


def test_a_parameters_cell_that_is_not_python_names_the_line():
    with pytest.raises(CourseError, match=r"parameters cell of 03_x is not plain Python: line 2"):
        read_parameters(notebook("a = 1\n%magic b"), "03_x")


@pytest.mark.parametrize(
    ("type_", "given_value", "expected"),
    [
        ("int", "3", 3),
        ("int", -2, -2),
        ("float", "0.5", 0.5),
        ("float", 1, 1.0),
        ("bool", "False", False),
        ("bool", "yes", True),
        ("str", "12", "12"),
        ("'str'", "a,b", "a,b"),
        ("list", "[1, 2.5, 'x']", [1, 2.5, "x"]),
        ("list", "1,x,true", [1, "x", True]),
        ("list[str]", "1,2", ["1", "2"]),
        ("list[int]", (1, 2), [1, 2]),
        ("list[float]", '["0.5", 1]', [0.5, 1.0]),
        ("Literal['fast', 'full']", "full", "full"),
        ("typing.Literal[1, 2]", "2", 2),
        ("int | None", "none", None),
        ("int | None", "7", 7),
        ("Optional[str]", "None", None),
        ("str | int", "7", "7"),
        ("Any", "[1]", [1]),
        ("Any", "hello", "hello"),
    ],
)
def test_a_value_becomes_the_parameters_type(type_, given_value, expected):
    converted = Parameter("p", type_, None).convert(given_value, "x")
    assert converted == expected
    assert type(converted) is type(expected)


@pytest.mark.parametrize(
    ("type_", "wrong", "expected"),
    [
        ("int", "1.5", "a whole number"),
        ("int", True, "a whole number"),
        ("int", 2.0, "a whole number"),
        ("float", "hot", "a number"),
        ("float", "nan", "a number"),
        ("float", True, "a number"),
        ("bool", "perhaps", "true or false"),
        ("bool", 1, "true or false"),
        ("str", 3, "text"),
        ("list[int]", "1,x", "a list, each entry a whole number"),
        ("list", "[1", "a list"),
        ("list", 5, "a list"),
        ("Literal['fast', 'full']", "quick", "'fast' or 'full'"),
        ("int | None", "x", "a whole number or none"),
        ("Path", "a/b", "its default"),
    ],
)
def test_a_value_of_the_wrong_type_says_what_was_expected(type_, wrong, expected):
    with pytest.raises(CourseError) as error:
        Parameter("p", type_, 0).convert(wrong, "03_prompting")
    assert str(error.value).startswith(f"p={wrong} does not fit 03_prompting: p is a {type_}")
    assert expected in str(error.value)


@given(st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.booleans()))
def test_the_text_of_a_value_is_read_back_as_the_value(value):
    assert Parameter("p", type(value).__name__, None).convert(str(value), "x") == value


@given(st.lists(st.text()))
def test_the_text_of_a_list_is_read_back_as_the_list(value):
    assert Parameter("p", "list[str]", None).convert(str(value), "x") == value


def test_an_unknown_name_gets_the_close_one_and_the_list():
    known = read_parameters(notebook("temperature: float = 1.0\nseed: int = 0"), "x")
    with pytest.raises(CourseError) as error:
        check_names(["temprature"], {"04_x": known})
    assert str(error.value) == (
        "04_x has no parameter 'temprature'. Did you mean temperature? "
        "Parameters: temperature (float), seed (int)."
    )


def test_a_name_that_one_of_several_notebooks_has_is_known():
    one, other = {"a": Parameter("a", "int", 0)}, {"b": Parameter("b", "int", 0)}
    check_names(["a", "b"], {"x": one, "y": other, "z": None})
    with pytest.raises(
        CourseError, match=r"None of the 3 notebooks has a parameter 'c'\. Parameters: a"
    ):
        check_names(["c"], {"x": one, "y": other, "z": None})


def test_a_notebook_without_a_parameters_cell_cannot_be_given_any():
    with pytest.raises(CourseError, match=r"old has no cell tagged `parameters`, so a cannot be"):
        check_names(["a"], {"old": None})
