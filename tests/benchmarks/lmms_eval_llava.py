"""Answers of lmms-eval's LLaVA, called as its evaluator calls it: <checkpoint> <asked.json> <said.json>.

Called by bench_engine.py, it runs in an environment of its own, with lmms-eval and decord, and without torchvision
where that does not load. `device_map=cpu` is there because transformers 5.23 refuses lmms-eval's default, an empty one.
"""

import json
import sys
import time
from pathlib import Path

import torch
from lmms_eval.api.instance import Instance
from lmms_eval.models import get_model
from PIL import Image


def messages(doc: dict) -> list[dict]:
    content = [{"type": "image", "url": Image.open(doc["image"])}, {"type": "text", "text": doc["text"]}]
    return [{"role": "user", "content": content}]


def main(checkpoint: str, asked: str, said: str) -> None:
    torch.set_num_threads(1)
    given = json.loads(Path(asked).read_text())
    model = get_model("llava_hf").create_from_arg_string(
        f"pretrained={checkpoint},device_map=cpu", {"batch_size": 1, "device": "cpu"}
    )
    model.task_dict["pictures"] = {"test": given["prompts"]}
    options = {"max_new_tokens": given["new_tokens"], "temperature": 0}
    requests = []
    for number, doc in enumerate(given["prompts"]):
        asked_of = (doc["text"], messages, dict(options), number, "pictures", "test")
        about = {"task": "pictures", "doc_id": number, "repeats": 1}
        requests.append(Instance("generate_until", asked_of, number, about))
    started = time.process_time()
    found = model.generate_until(requests)
    seconds = time.process_time() - started
    texts = [getattr(one, "text", one).strip() for one in found]
    Path(said).write_text(json.dumps({"texts": texts, "seconds": seconds}))


if __name__ == "__main__":
    main(*sys.argv[1:])
