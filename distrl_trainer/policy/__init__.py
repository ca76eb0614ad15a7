"""Policies: the built-in tiny model and any transformers image-text-to-text model, behind one protocol."""

from distrl_trainer.policy.base import Decision, Evaluation, Observation, Policy
from distrl_trainer.policy.loading import ModelError, load_policy

__all__ = ["Decision", "Evaluation", "ModelError", "Observation", "Policy", "load_policy"]
