"""Network and board to plan: engines, foldings, FIFOs, cycles and area, decided before any RTL."""

from hwgen.plan.engines import Engines, check_names
from hwgen.plan.planner import plan
from hwgen.plan.value import Plan, PlanError, plan_from_json

__all__ = ["Engines", "Plan", "PlanError", "check_names", "plan", "plan_from_json"]
