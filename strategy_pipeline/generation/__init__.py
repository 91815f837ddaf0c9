"""Where new candidates come from: generators behind one protocol, `generate`, which draws from them, and `campaign`, a search by
all of them in which each builds on what those before it found.

What belongs here: templates of every family and the systematic generator that explores them; genetic search, model-driven
search, ensembles of survivors and screened pairs, registered by name. What does not: judging
candidates (`selection`), tuning one (`optimization`), and the language itself (`strategies`).
"""

from __future__ import annotations

from strategy_pipeline.generation.campaign import Campaign, campaign
from strategy_pipeline.generation.ensemble import EnsembleGenerator
from strategy_pipeline.generation.genetic import GeneticGenerator, GeneticSettings
from strategy_pipeline.generation.ml_driven import ModelDrivenGenerator
from strategy_pipeline.generation.pairs import PairsGenerator, Screen, screen_pairs
from strategy_pipeline.generation.population import Drawn, check_request, draw, generate, skipped_families
from strategy_pipeline.generation.protocol import Generator, Request, SearchSettings, Stream, methods, recorder, register
from strategy_pipeline.generation.systematic import SystematicGenerator
from strategy_pipeline.generation.template import Slot, Template
from strategy_pipeline.generation.templates import TEMPLATES

for _made in (SystematicGenerator, GeneticGenerator, ModelDrivenGenerator, EnsembleGenerator, PairsGenerator):
    register(_made.name, _made)

__all__ = [
    "TEMPLATES",
    "Campaign",
    "Drawn",
    "EnsembleGenerator",
    "Generator",
    "GeneticGenerator",
    "GeneticSettings",
    "ModelDrivenGenerator",
    "PairsGenerator",
    "Request",
    "Screen",
    "SearchSettings",
    "Slot",
    "Stream",
    "SystematicGenerator",
    "Template",
    "campaign",
    "check_request",
    "draw",
    "generate",
    "methods",
    "recorder",
    "register",
    "screen_pairs",
    "skipped_families",
]
