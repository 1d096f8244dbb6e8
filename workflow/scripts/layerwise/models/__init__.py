"""Vision-language models: families and their exits, organisms, backbones, checkpoints, the engine."""
