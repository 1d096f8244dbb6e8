"""Published backbones, read from small files of their formats, and assembled."""

import re

import onnx
import pytest
import torch
from gguf import GGUFWriter
from onnxruntime.quantization import quantize_dynamic
from transformers import (
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
    Dinov2Config,
    Dinov2Model,
    LlamaConfig,
    LlamaForCausalLM,
)

import models
import smallmodels
from layerwise import plugins
from layerwise.errors import InputError
from layerwise.models import backbones, checkpoints, onnx_graphs
from layerwise.models.backbones import gguf as gguf_format
from layerwise.models.backbones import onnx_clip, onnx_dinov2

SIDE, PATCH = 28, 14
OLDER = {f"attention.{name[0]}_proj": f"attention.attention.{name}" for name in ("query", "key", "value")}
OLDER["attention.o_proj"] = "attention.output.dense"


def dinov2(blocks: int = 3) -> Dinov2Model:
    """An encoder none of whose weights are equal, as a trained one's are not."""
    torch.manual_seed(0)
    shapes = {"hidden_size": 24, "num_attention_heads": 6, "mlp_ratio": 2}
    encoder = Dinov2Model(Dinov2Config(num_hidden_layers=blocks, image_size=SIDE, patch_size=PATCH, **shapes))
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.normal_(std=0.3)
    return encoder.eval()


class Saliency(torch.nn.Module):
    """What a package exports: an encoder, and a head on it that is not wanted."""

    def __init__(self, encoder: Dinov2Model) -> None:
        super().__init__()
        self.backbone = encoder
        self.decoder = torch.nn.Linear(24, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.decoder(self.backbone(images).last_hidden_state)


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    """An ONNX file with the key names that transformers had when such files were exported."""
    path = tmp_path_factory.mktemp("onnx") / "saliency.onnx"
    example = (torch.zeros(onnx_graphs.IMAGES, 3, SIDE, SIDE),)
    torch.onnx.export(Saliency(dinov2()), example, path, dynamo=False, input_names=["image"])
    model = onnx.load(path)
    for new, old in OLDER.items():
        for node in model.graph.node:
            node.name = node.name.replace(new.replace(".", "/"), old.replace(".", "/"))
            node.input[:] = [name.replace(f"{new}.bias", f"{old}.bias") for name in node.input]
        for item in model.graph.initializer:
            item.name = item.name.replace(f"{new}.bias", f"{old}.bias")
    onnx.save(model, path)
    return path


def test_an_encoder_comes_out_of_a_graph_as_it_went_in(graph):
    found, wanted = onnx_dinov2.load(graph), dinov2()
    images = torch.randn(2, 3, SIDE, SIDE)
    with torch.no_grad():
        both = [encoder(images, output_hidden_states=True).hidden_states for encoder in (found, wanted)]
    for ours, theirs in zip(*both, strict=True):
        torch.testing.assert_close(ours, theirs)
    assert found.config.num_hidden_layers == 3 and found.config.image_size == SIDE and found.config.mlp_ratio == 2


def test_parity_is_measured_block_by_block_and_sees_a_wrong_weight(graph):
    encoder = onnx_dinov2.load(graph)
    differences = onnx_dinov2.parity(graph, encoder)
    assert len(differences) == 4 and max(differences) < 1e-5
    with torch.no_grad():
        encoder.encoder.layer[1].mlp.fc1.weight.mul_(1.01)
    spoilt = onnx_dinov2.parity(graph, encoder)
    assert spoilt[0] < 1e-5 and spoilt[1] > 1e-4


def test_a_graph_of_another_architecture_is_refused(graph, tmp_path):
    model = onnx.load(graph)
    for item in model.graph.initializer:
        item.name = re.sub("layer_scale1", "other_scale", item.name)
    for node in model.graph.node:
        node.input[:] = [re.sub("layer_scale1", "other_scale", name) for name in node.input]
    onnx.save(model, tmp_path / "other.onnx")
    with pytest.raises(InputError, match=r"other.onnx: not a Dinov2Model.*layer_scale1"):
        onnx_dinov2.load(tmp_path / "other.onnx")


@pytest.fixture(scope="module")
def tower():
    """CLIP's image tower with its projection, none of whose weights are equal."""
    torch.manual_seed(0)
    shapes = {"hidden_size": 2 * onnx_clip.HEAD, "intermediate_size": 96, "num_attention_heads": 2}
    model = CLIPVisionModelWithProjection(
        CLIPVisionConfig(num_hidden_layers=3, image_size=32, patch_size=8, projection_dim=16, **shapes)
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.05)
    return model.eval()


@pytest.fixture(scope="module")
def quantised(tower, tmp_path_factory):
    """The tower as packages ship it: exported, and its matrices rounded to int8 by onnxruntime."""
    folder = tmp_path_factory.mktemp("clip")
    example = (torch.zeros(onnx_graphs.IMAGES, 3, 32, 32),)
    torch.onnx.export(tower, example, folder / "whole.onnx", dynamo=False, input_names=["pixel_values"])
    quantize_dynamic(folder / "whole.onnx", folder / "int8.onnx", op_types_to_quantize=["MatMul"])
    return folder / "int8.onnx"


def test_clip_comes_out_of_int8_as_close_as_the_rounding_allows(tower, quantised):
    found, wanted = onnx_clip.load(quantised).state_dict(), tower.vision_model.state_dict()
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        rounded = value.ndim == 2 and "position" not in name
        step = (value.max() - value.min()) / 255 if rounded else 0
        torch.testing.assert_close(found[name], value, rtol=0, atol=float(step))


def test_clip_equals_its_graph_freed_of_rounded_activations_and_a_wrong_weight_is_seen(quantised):
    encoder = onnx_clip.load(quantised)
    differences = onnx_clip.parity(quantised, encoder)
    assert len(differences) == 3 and max(differences) < 1e-5
    with torch.no_grad():
        encoder.encoder.layers[1].mlp.fc1.weight.mul_(1.01)
    spoilt = onnx_clip.parity(quantised, encoder)
    assert spoilt[0] < 1e-5 and spoilt[1] > 1e-4


def test_clip_at_another_size_is_what_transformers_interpolates(quantised):
    encoder = onnx_clip.load(quantised)
    smaller, images = onnx_clip.resized(encoder, 24), torch.randn(2, 3, 24, 24)
    with torch.no_grad():
        ours, theirs = smaller(images), encoder(images, interpolate_pos_encoding=True)
    torch.testing.assert_close(ours.last_hidden_state, theirs.last_hidden_state, rtol=0, atol=0)
    assert onnx_clip.resized(encoder, 32) is encoder


def test_a_graph_that_is_no_clip_is_refused(graph):
    with pytest.raises(InputError, match=r"saliency.onnx: not a CLIP image tower"):
        onnx_clip.load(graph)


def llama(words: int) -> LlamaForCausalLM:
    torch.manual_seed(1)
    shapes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "tie_word_embeddings": True}
    return LlamaForCausalLM(LlamaConfig(vocab_size=words, max_position_embeddings=64, **shapes, **heads)).eval()


TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<reponame>", *"abcdefgh", "Ġ", "ab", "cd"]


@pytest.fixture(scope="module")
def gguf(tmp_path_factory):
    """A GGUF file of a small Llama, unquantised, written with the library that llama.cpp's converter uses."""
    path, model = tmp_path_factory.mktemp("gguf") / "small.gguf", llama(len(TOKENS))
    writer, config = GGUFWriter(path, "llama"), model.config
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_vocab_size(len(TOKENS))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(TOKENS)
    writer.add_token_types([3] * 4 + [1] * (len(TOKENS) - 4))
    writer.add_token_merges(["a b", "c d"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(2)
    writer.add_unk_token_id(0)
    names = {"input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm", "self_attn.o_proj": "attn_output"}
    names |= {f"self_attn.{part}_proj": f"attn_{part}" for part in "qkv"}
    names |= {f"mlp.{part}_proj": f"ffn_{part}" for part in ("gate", "up", "down")}
    for name, value in model.state_dict().items():
        if name == "lm_head.weight":
            continue
        name = name.replace("model.embed_tokens", "token_embd").replace("model.norm", "output_norm")
        name = name.replace("model.layers", "blk")
        for old, new in names.items():
            name = name.replace(old, new)
        for part, heads in (("attn_q", config.num_attention_heads), ("attn_k", config.num_key_value_heads)):
            if f"{part}." in name:  # llama.cpp interleaves the halves that rotate together
                value = value.reshape(heads, 2, -1, value.shape[1]).swapaxes(1, 2).reshape(value.shape)
        writer.add_tensor(name, value.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_a_llama_comes_out_of_gguf_as_it_went_in(gguf, tmp_path):
    model, tokenizer = gguf_format.load(gguf)
    tokens = torch.tensor([[1, 4, 5, 13, 2]])
    with torch.no_grad():
        torch.testing.assert_close(model(tokens).logits, llama(len(TOKENS))(tokens).logits)
    assert tokenizer("<|im_start|>abc").input_ids == [1, TOKENS.index("ab"), TOKENS.index("c")]
    assert tokenizer.padding_side == "left"
    model.save_pretrained(tmp_path)


def test_another_file_is_no_gguf(tmp_path):
    (tmp_path / "some.gguf").write_bytes(b"GGUF? no")
    with pytest.raises(InputError, match=r"some.gguf: not a GGUF file with a language model"):
        gguf_format.load(tmp_path / "some.gguf")


def assembled(**more):
    tokenizer = smallmodels.tokenizer()
    settings = {"image_token": "<image>", "image_size": 42, "default_layer": 2, "seed": 0} | more
    settings |= {"image_mean": onnx_dinov2.IMAGE_MEAN, "image_std": onnx_dinov2.IMAGE_STD}
    return backbones.assemble(dinov2(), llama(len(tokenizer)), tokenizer, **settings)


def test_an_assembled_model_is_a_llava_with_the_backbones_weights(tmp_path):
    model, processor = assembled()
    for part in (model, processor):
        part.save_pretrained(tmp_path)
    family = checkpoints.load_model(tmp_path, models.settings(3, "llava_dinov2", default_layer=2))
    image = family.preprocess(models.picture(0, (64, 64)))
    assert image["pixel_values"].shape == (1, 3, 42, 42)
    assert family.encode("w1 ?", image).count(model.config.image_token_id) == 9
    wanted = dinov2().state_dict()
    for name, value in family.tower.state_dict().items():
        torch.testing.assert_close(value, wanted[name])


@pytest.mark.parametrize("layer", [1, 2, 3])
def test_an_exit_of_dinov2_is_what_llava_itself_reads_there(layer):
    """Before the encoder's final layer norm, and without the class token."""
    model, processor = assembled()
    family = plugins.find("models.families", "llava_dinov2").Family(model, processor)
    pixels = family.preprocess(models.picture(1, (64, 64)))["pixel_values"]
    with torch.no_grad():
        ours = family.features([{"pixel_values": pixels}], [layer])[layer][0]
        stock = model.model.get_image_features(pixels, vision_feature_layer=layer).pooler_output[0]
    torch.testing.assert_close(ours, stock, rtol=0, atol=0)


def test_a_projector_starts_from_its_seed():
    weights = [assembled(seed=seed)[0].model.multi_modal_projector.linear_1.weight for seed in (0, 0, 1)]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])


@pytest.mark.parametrize(
    ("wrong", "said"), [({"image_token": "<picture>"}, "image_token.*<picture>"), ({"image_size": 40}, "40.*14")]
)
def test_what_does_not_fit_is_refused(wrong, said):
    with pytest.raises(InputError, match=said):
        assembled(**wrong)


def test_a_format_that_is_not_there_is_named():
    with pytest.raises(InputError, match=r"no format 'safetensor'; allowed: gguf, onnx_clip, onnx_dinov2"):
        plugins.find("models.backbones", "safetensor")
