"""Fine-tunes multimodal models to operate Android phones by asynchronous, off-policy reinforcement learning.

The command line is `distrl-train`; from Python, `from distrl_trainer.algorithm import DistRL`. Importing this
package costs no torch. Start reading at `collector.py` and `learner.py`.
"""
