"""Android phones as a Gymnasium environment: `gym.make("AndroidTask-v0")` after importing this package.

Importing registers the environment; nothing else happens. Start reading at `env.py`.
"""

import gymnasium

# The step limit is part of the task (`AndroidTaskEnv`, `max_steps`), so Gymnasium's TimeLimit stays off.
gymnasium.register(
    "AndroidTask-v0",
    entry_point="android_env_gym.env:AndroidTaskEnv",
    vector_entry_point="android_env_gym.vector_env:PhoneVectorEnv",
    max_episode_steps=None,
)
