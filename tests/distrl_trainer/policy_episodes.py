"""Episodes that a real policy acts in, recorded as a collector does, on made-up screens: no phone is needed."""

import numpy as np

from distrl_trainer.observations import View, encode_action, encode_frame, window
from distrl_trainer.prompts import action_text
from distrl_trainer.trajectory import Step, Trajectory

INSTRUCTIONS = (
    "Turn off wifi",
    "Create a note that says hello",
    "Send Ada Berg the message that the meeting of tomorrow afternoon begins at 15:30 in the blue room",
    "Open the clock",
)


def screens(count, seed=0):
    generator = np.random.default_rng(seed)
    # Blocks rather than noise: areas of one colour, as screens have.
    small = generator.integers(0, 255, (count, 28, 14, 3), dtype=np.uint8)
    return list(small.repeat(16, axis=1).repeat(16, axis=2))


VIEW = View()


def recorded(policy, steps=3):
    """Episodes that `policy` acts in, recorded as a collector does; the last step of every second one succeeds."""
    episodes = []
    for number, instruction in enumerate(INSTRUCTIONS):
        frames, texts, taken = screens(steps + 1, seed=number), [], []
        stream = np.random.default_rng(number)
        for t in range(steps):
            decision = policy.act([window(instruction, frames, texts, t, VIEW)], streams=[stream])[0]
            texts.append(action_text(decision.action))
            reward = float(t == steps - 1 and number % 2)
            taken.append(
                Step(decision.token_ids, decision.logprobs, texts[-1], encode_action(decision.action),
                     0, decision.value, reward)
            )  # fmt: skip
        episodes.append(
            Trajectory(
                id=f"e{number}", template="t", task_id=f"t/train/{number}", split="train", instance=number,
                instruction=instruction, steps=tuple(taken), frames=tuple(map(encode_frame, frames)),
                terminated=True, truncated=False, success=bool(number % 2),
            )
        )  # fmt: skip
    return episodes
