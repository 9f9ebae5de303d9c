"""Network and board to plan: engines, foldings, FIFOs, cycles and area, decided before any RTL."""

from hwgen.plan.engines import Engines, check_names
from hwgen.plan.planner import plan
from hwgen.plan.text import PlanError, plan_from_json, plan_to_json
from hwgen.plan.value import Plan

__all__ = ["Engines", "Plan", "PlanError", "check_names", "plan", "plan_from_json", "plan_to_json"]
