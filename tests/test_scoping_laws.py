"""Scoping: laws equal to their optimum, costs that are equal at the break-even."""

import math

import pytest
from scipy.optimize import minimize_scalar

from course_utils.scoping.cost import api_price, break_even, compute_hours, machines_price
from course_utils.scoping.counting_model import CountingModel
from course_utils.scoping.scaling import (
    BESIROGLU_2024,
    HOFFMANN_2022,
    HOFFMANN_2022_UNROUNDED,
    Allocation,
    ScalingLaw,
    kaplan_loss,
    tokens_to_pay_back,
)

# scaling laws

LAWS = pytest.mark.parametrize("law", [HOFFMANN_2022, HOFFMANN_2022_UNROUNDED, BESIROGLU_2024])


def test_the_law_worked_by_hand():
    law = ScalingLaw("by hand", E=1, A=8, B=8, alpha=1, beta=1)
    assert law.compute_optimal(24) == Allocation(2, 2)
    assert (law.loss(2, 2), law.loss(1, 4)) == (9, 11)
    assert law.cheapest_for(9) == Allocation(2, 2)


@LAWS
@pytest.mark.parametrize("flops", [1e18, 1.6e21, 5.76e23])
def test_the_closed_form_is_the_minimum_that_a_search_finds(law, flops):
    def loss(log_parameters):
        parameters = math.exp(log_parameters)
        return law.loss(parameters, flops / (6 * parameters))

    searched = minimize_scalar(
        loss, bounds=(math.log(1e5), math.log(1e14)), method="bounded", options={"xatol": 1e-10}
    )
    split = law.compute_optimal(flops)
    assert split.parameters == pytest.approx(math.exp(searched.x), rel=1e-4)
    assert split.flops == pytest.approx(flops)


@LAWS
def test_the_cheapest_way_to_a_loss_is_the_optimum_of_its_own_budget(law):
    way = law.cheapest_for(2.6)
    assert law.loss(way.parameters, way.tokens) == pytest.approx(2.6)
    again = law.compute_optimal(way.flops)
    assert (again.parameters, again.tokens) == pytest.approx((way.parameters, way.tokens))


def test_the_constants_give_the_ratios_that_were_published_for_them():
    ratios = [
        law.compute_optimal(5.76e23).tokens_per_parameter
        for law in (HOFFMANN_2022, HOFFMANN_2022_UNROUNDED, BESIROGLU_2024)
    ]
    assert ratios == pytest.approx([92.6, 59.1, 18.4], abs=0.1)


def test_the_older_law_falls_with_size_and_text_and_keeps_its_two_limits():
    assert kaplan_loss(1e9, 1e10) < kaplan_loss(1e8, 1e10)
    assert kaplan_loss(1e9, 1e10) < kaplan_loss(1e9, 1e9)
    assert kaplan_loss(1e9, 1e30) == pytest.approx((6.4e13 / 1e9) ** 0.076)
    assert kaplan_loss(1e40, 1e10) == pytest.approx((1.8e13 / 1e10) ** 0.103)


def test_after_the_payback_both_models_have_cost_the_same():
    small, large = Allocation(100, 10_000), Allocation(300, 1_000)
    served = tokens_to_pay_back(small, large)
    assert small.flops + 2 * 100 * served == pytest.approx(large.flops + 2 * 300 * served)
    assert tokens_to_pay_back(Allocation(100, 10), large) == 0


def test_budgets_and_losses_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="flops=0 is no budget"):
        BESIROGLU_2024.compute_optimal(0)
    with pytest.raises(ValueError, match=r"no model gets to E = 1\.8172"):
        BESIROGLU_2024.cheapest_for(1.8)
    with pytest.raises(ValueError, match="give the smaller model first"):
        tokens_to_pay_back(Allocation(3, 1), Allocation(2, 1))


def test_the_counting_model_by_hand():
    model = CountingModel("aab", alphabet=2, order=1)  # a twice, b once, two kinds
    assert model.probability("a", "") == pytest.approx((2 + 2 * 0.5) / (3 + 2))
    assert model.loss("ab") == pytest.approx(-(math.log(0.6) + math.log(0.4)) / 2)


def test_the_counting_model_gives_probabilities_that_sum_to_one():
    model = CountingModel("the cat sat on the mat", alphabet=26 + 1, order=4)
    alphabet = "abcdefghijklmnopqrstuvwxyz "
    for before in ("", "th", "the cat", "zzz"):
        assert sum(model.probability(one, before) for one in alphabet) == pytest.approx(1)
    assert model.probability("e", "th") > 0.5
    with pytest.raises(ValueError, match="give a text"):
        CountingModel("", alphabet=2)


# cost


def test_hours_and_prices_by_hand():
    assert compute_hours(7.2e15, 1e12) == 2
    assert compute_hours(7.2e15, 1e12, utilisation=0.5) == 4
    assert api_price(300, 40, price_in=0.5, price_out=1.5) == pytest.approx(0.00021)
    assert [machines_price(volume, 100, 40) for volume in (0, 100, 101)] == [40, 40, 80]


def test_at_the_break_even_both_cost_the_same_and_a_full_machine_has_none():
    volume, full = break_even(price_per_call=0.02, price=40, capacity=5000)
    assert volume * 0.02 == machines_price(volume, 5000, 40) == 40
    assert full == 40 / 5000
    never = break_even(price_per_call=0.02, price=40, capacity=1999)
    assert never.volume is None
    assert all(machines_price(v, 1999, 40) > 0.02 * v for v in range(0, 20_000, 7))


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: compute_hours(1, 0), "operations a second"),
        (lambda: compute_hours(1, 1, 1.2), "no share"),
        (lambda: api_price(1, 1, -1, 1), "not negative"),
        (lambda: machines_price(1, 0, 40), "positive"),
        (lambda: break_even(0, 40, 100), "must be positive"),
    ],
)
def test_costs_that_cannot_be_are_refused(call, says):
    with pytest.raises(ValueError, match=says):
        call()
