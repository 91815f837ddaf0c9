"""Where new candidates come from: generators behind one protocol, and `generate`, which draws from them.

What belongs here: templates of every family and the systematic generator that explores them; further generators
(genetic, model-driven, ensembles) join as modules of their own and are registered by name. What does not: judging
candidates (`selection`), tuning one (`optimization`), and the language itself (`strategies`).
"""

from __future__ import annotations

from strategy_pipeline.generation.population import generate, skipped_families
from strategy_pipeline.generation.protocol import Generator, Request, methods, register
from strategy_pipeline.generation.systematic import SystematicGenerator
from strategy_pipeline.generation.template import Slot, Template
from strategy_pipeline.generation.templates import TEMPLATES

register(SystematicGenerator.name, SystematicGenerator)

__all__ = [
    "TEMPLATES",
    "Generator",
    "Request",
    "Slot",
    "SystematicGenerator",
    "Template",
    "generate",
    "methods",
    "register",
    "skipped_families",
]
