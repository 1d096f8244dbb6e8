"""A judge's score as the reward. Whether high scores are good or bad is declared in the judge's file, in `REWARDS`."""

from collections.abc import Sequence
from pathlib import Path

from layerwise import plugins
from layerwise.judging.rows import ask
from layerwise.records import Prompt, Response
from layerwise.study.declarations import worth
from layerwise.training.rewards import Reward

KINDS = ("organism", "assembled", "published")


def new(settings: dict, weights: Sequence[Path]) -> Reward:
    return Judged(settings, weights)


class Judged:
    """The judge of `settings`: `id`, `judge` and `options`. Each distinct pair of texts is judged once."""

    def __init__(self, settings: dict, weights: Sequence[Path]) -> None:
        module = plugins.find("judging.judges", settings["judge"])
        self.id, self.sign = settings["id"], worth(settings["judge"], settings["options"])
        self.judge = module.Judge(module.Options(**settings["options"]), weights)
        self.known: dict[tuple[object, ...], float] = {}

    def __call__(self, prompts: Sequence[Prompt], answers: Sequence[str]) -> list[float]:
        keys = [
            (*(getattr(prompt, field) for field in self.judge.sees), answer)
            for prompt, answer in zip(prompts, answers, strict=True)
        ]
        new = {key: prompt for key, prompt in zip(keys, prompts, strict=True) if key not in self.known}
        pairs = [(prompt, Response("", prompt.id, "policy", 0, str(key[-1]), 0, "stop")) for key, prompt in new.items()]
        for start in range(0, len(pairs), self.judge.batch_size):
            part = pairs[start : start + self.judge.batch_size]
            for key, (_, score, _) in zip(list(new)[start:], ask(self.judge, self.id, part), strict=False):
                assert score is not None and self.sign is not None, "a judge with REWARDS gives scores"
                self.known[key] = self.sign * score
        return [self.known[key] for key in keys]
