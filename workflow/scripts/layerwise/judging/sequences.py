"""Published models that classify a sequence: transformers' `AutoModelForSequenceClassification` and its tokenizer.

Classifiers of refusals and of harm are of this kind, and so are most reward models. What they read is a response, or a
request and a response as a pair; what they give is one logit per class, which depends on no other sequence:

- A sequence is in a batch with others of its length alone; by default, it is a batch of its own.
- Special tokens written in a request or a response are plain text.
- What is too long is cut at its end: the request at `request_tokens`, then the response.
"""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, model_validator

from layerwise.assets import LOCAL
from layerwise.errors import InputError
from layerwise.jobs.threads import single_thread
from layerwise.judging.batches import of_one_length
from layerwise.judging.weights import Checkpoint
from layerwise.study.settings import Mistake, Positive, Settings

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Reading(Settings):
    """What a sequence classifier reads, and how: base class of the options of judges made of one."""

    inputs: Literal["response", "pair"] = Field(
        "response", description="What it reads: the `response`, or the request and the response as a `pair`."
    )
    request_tokens: Positive = Field(256, description="Maximum length of the request in a pair, in tokens.")
    max_tokens: Positive = Field(
        512, description="Maximum length of the whole, in tokens; at most what the model can read."
    )
    batch_size: Positive = Field(
        1, description="Rows of one length per forward pass. With more, a GPU is faster and a CPU is not."
    )
    dtype: Literal["float32", "bfloat16", "float16"] = Field("float32", description="Type of the weights in memory.")

    @model_validator(mode="after")
    def room_for_a_response(self) -> Self:
        if self.inputs == "pair" and 2 * self.request_tokens > self.max_tokens:
            raise Mistake("request_tokens", f"half of max_tokens ({self.max_tokens}) must remain for the response")
        return self


class Sequences:
    """A sequence classifier on the first GPU or the CPU.

    `classes`: the names of its logits, in order. `independent`: whether each class is a question of its own, instead of
    one of several answers.
    """

    def __init__(self, checkpoint: Checkpoint, reading: Reading, judge: str) -> None:
        """Raises InputError, naming `judge`, for a checkpoint that cannot be loaded or read that much at once.

        No pickle is opened: weights must be safetensors.
        """
        checkpoint.verify()
        single_thread()
        import torch
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        self.reading = reading
        try:
            self.tokenizer = AutoTokenizer.from_pretrained(checkpoint.folder, **LOCAL)
            model, missing = AutoModelForSequenceClassification.from_pretrained(
                checkpoint.folder,
                dtype=getattr(torch, reading.dtype),
                use_safetensors=True,
                output_loading_info=True,
                **LOCAL,
            )
        except (OSError, ValueError, RuntimeError) as error:
            raise InputError(
                f"judge '{judge}': the checkpoint {checkpoint.folder} cannot be loaded: {error}"
            ) from error
        if absent := sorted(missing["missing_keys"]):
            raise InputError(
                f"judge '{judge}': the checkpoint {checkpoint.folder} is no sequence classifier: it lacks "
                f"{', '.join(absent[:3])}. Name another in `source`."
            )
        self.model = model.eval().to("cuda:0" if torch.cuda.is_available() else "cpu")
        # A causal model looks for the end of each row of a batch by the token that it pads with.
        self._rows = 1 if model.config.pad_token_id is None else reading.batch_size
        self.classes = [str(model.config.id2label[number]) for number in range(model.config.num_labels)]
        self.independent = len(self.classes) == 1 or model.config.problem_type == "multi_label_classification"
        self.limit = min(self.tokenizer.model_max_length, _positions(model))
        if reading.max_tokens > self.limit:
            raise InputError(
                f"judge '{judge}': key 'options.max_tokens': the model reads at most {self.limit} tokens. Write "
                f"{self.limit} or less."
            )

    def encode(self, request: str, response: str, frame: str = "{request}") -> dict[str, list[int]]:
        """A response, or a request in its frame and a response, as the model's inputs, cut to `max_tokens`."""
        reading = self.reading
        if reading.inputs == "response":
            return self._tokens(response, truncation=True, max_length=reading.max_tokens)
        ends = self._tokens(request, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
        asked = request[: ends[: reading.request_tokens][-1][1]] if ends else request
        asked = frame.replace("{request}", asked)
        return self._tokens(asked, response, truncation="only_second", max_length=reading.max_tokens)

    def _tokens(self, *texts: str, **how: Any) -> dict[str, list]:
        found = dict(self.tokenizer(*texts, split_special_tokens=True, verbose=False, **how))
        # Where nothing marks the ends of a text, an empty one would have no tokens at all.
        return found if found["input_ids"] else dict(self.tokenizer(self.tokenizer.eos_token))

    def logits(self, sequences: Sequence[dict[str, list[int]]]) -> list[list[float]]:
        """The logits of each encoded sequence, one per class, independent of the other sequences."""
        import torch

        found: list[list[float]] = [[] for _ in sequences]
        for batch in of_one_length([len(inputs["input_ids"]) for inputs in sequences], self._rows):
            rows = [sequences[index] for index in batch]
            inputs = {name: torch.tensor([row[name] for row in rows]).to(self.model.device) for name in rows[0]}
            with torch.inference_mode():
                logits = self.model(**inputs).logits.float().tolist()
            for index, row in zip(batch, logits, strict=True):
                found[index] = row
        return found


def _positions(model: "PreTrainedModel") -> int:
    """The number of tokens that a model has positions for."""
    positions = getattr(model.config, "max_position_embeddings", None)
    if positions is None:
        return sys.maxsize
    # RoBERTa and its kin count positions from the number of the token that they pad with.
    table = getattr(getattr(model.base_model, "embeddings", None), "padding_idx", None)
    return positions if table is None else positions - table - 1
