"""Network and board to plan: engines, foldings, FIFOs, cycles and area, decided before any RTL."""

from hwgen.plan.planner import plan
from hwgen.plan.value import Plan, PlanError, plan_from_json

__all__ = ["Plan", "PlanError", "plan", "plan_from_json"]
