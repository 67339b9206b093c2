"""A Llama model in a GGUF file made dense: bfloat16 safetensors with configuration and tokenizer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from gguf import GGUFReader, dequantize
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

PARTS = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
CONTROL = 3  # GGUF's type of a token that is no text


def convert(source: Path, folder: Path) -> None:
    """Write a Llama model in a GGUF file as bfloat16 safetensors with configuration and tokenizer."""
    reader = GGUFReader(source)
    facts = {name: field.contents() for name, field in reader.fields.items()}
    config = _config(facts)
    _save_weights(reader.tensors, config, folder / "model.safetensors")
    _save_tokenizer(facts, folder)
    ends = {name: config[name] for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    for name, content in (("config", config), ("generation_config", ends)):
        (folder / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _config(facts: dict[str, Any]) -> dict[str, Any]:
    def of(name: str) -> Any:
        return facts[f"llama.{name}"]

    theta = of("rope.freq_base")
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "dtype": "bfloat16",
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "vocab_size": of("vocab_size"),
        "hidden_size": of("embedding_length"),
        "intermediate_size": of("feed_forward_length"),
        "num_hidden_layers": of("block_count"),
        "num_attention_heads": of("attention.head_count"),
        "num_key_value_heads": of("attention.head_count_kv"),
        "head_dim": of("rope.dimension_count"),
        "max_position_embeddings": of("context_length"),
        "rms_norm_eps": round(of("attention.layer_norm_rms_epsilon"), 9),  # kept as a float of 32 bits
        "rope_theta": theta,  # as transformers before 5 read it
        "rope_parameters": {"rope_type": "default", "rope_theta": theta},
        "tie_word_embeddings": True,
        "bos_token_id": facts["tokenizer.ggml.bos_token_id"],
        "eos_token_id": facts["tokenizer.ggml.eos_token_id"],
        "pad_token_id": facts["tokenizer.ggml.padding_token_id"],
    }


def _save_weights(tensors: Any, config: dict[str, Any], file: Path) -> None:
    save_file(dict(_dense(tensors, config)), file, metadata={"format": "pt"})


def _dense(tensors: Any, config: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield name and bfloat16 tensor; query and key get back the order of rows that GGUF's rotation has changed."""
    heads = {"attn_q": config["num_attention_heads"], "attn_k": config["num_key_value_heads"]}
    for tensor in tensors:
        *block, part = tensor.name.removesuffix(".weight").split(".")
        weight = torch.from_numpy(dequantize(tensor.data, tensor.tensor_type).copy())
        if part in heads:
            rows, columns = weight.shape
            pairs = weight.view(heads[part], rows // heads[part] // 2, 2, columns)
            weight = pairs.transpose(1, 2).reshape(rows, columns)
        layer = f"model.layers.{block[1]}." if block else ""
        yield f"{layer}{PARTS[part]}.weight", weight.bfloat16()


def _save_tokenizer(facts: dict[str, Any], folder: Path) -> None:
    def of(name: str) -> Any:
        return facts[f"tokenizer.ggml.{name}"]

    tokens, merges = of("tokens"), [tuple(pair.split(" ")) for pair in of("merges")]
    tokenizer = Tokenizer(models.BPE(vocab={token: number for number, token in enumerate(tokens)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(  # what GGUF calls smollm
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    control = [token for token, kind in zip(tokens, of("token_type"), strict=True) if kind == CONTROL]
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in control])
    tokenizer.save(str(folder / "tokenizer.json"))
    wrapping = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": facts["llama.context_length"],
        "clean_up_tokenization_spaces": False,
        "bos_token": tokens[of("bos_token_id")],
        "eos_token": tokens[of("eos_token_id")],
        "pad_token": tokens[of("padding_token_id")],
        "unk_token": tokens[of("unknown_token_id")],
        "chat_template": facts["tokenizer.chat_template"],
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(wrapping, indent=2) + "\n", encoding="utf-8")
