"""The clean corpus: models of every shape that may come in, built by code. Each must pass without a single finding."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Callable
from functools import cache
from pathlib import Path

from tests.ingestion import chat_templates

TEXTS = [
    "Restart the pod in the namespace, then read its log.",
    "The node is not ready: drain it and look at the kubelet.",
    "A route needs a service, and a service needs a pod that is ready.",
] * 10
SIZES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "I64": 8, "I32": 4, "I8": 1, "U8": 1, "BOOL": 1}
CONFIG = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 8, "torch_dtype": "bfloat16"}
LAYERS = {
    "model.embed_tokens.weight": ("BF16", (300, 8)),
    "model.layers.0.self_attn.q_proj.weight": ("BF16", (8, 8)),
    "model.layers.0.mlp.up_proj.weight": ("BF16", (16, 8)),
    "model.norm.weight": ("F32", (8,)),
    "lm_head.weight": ("BF16", (300, 8)),
}
CARD = "---\nlicense: apache-2.0\nlanguage:\n- en\ntags: [text-generation]\n---\n# A model\n"

Shapes = dict[str, tuple[str, tuple[int, ...]]]


def safetensors(shapes: Shapes) -> bytes:
    """Return a safetensors file with tensors of these types and shapes."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name, (dtype, shape) in shapes.items():
        size = SIZES[dtype]
        for length in shape:
            size *= length
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + bytes(number % 251 for number in range(at))


def write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=2), encoding="utf-8")


def base(folder: Path, shapes: Shapes | None = None, **config: object) -> Path:
    """Write a model with everything but its tokenizer's vocabulary."""
    folder.mkdir(parents=True)
    write_json(folder / "config.json", CONFIG | config)
    tokenizer = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 10**30, "eos_token": "</s>"}
    write_json(folder / "tokenizer_config.json", tokenizer | {"chat_template": chat_templates.PLAIN})
    (folder / "README.md").write_text(CARD)
    if shapes is None:
        shapes = LAYERS
    if shapes:
        (folder / "model.safetensors").write_bytes(safetensors(shapes))
    return folder


@cache
def byte_level_bpe() -> str:
    """Return a trained tokenizer.json."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = ["<unk>", "<s>", "</s>", "<|end|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    return tokenizer.to_str(pretty=True)


@cache
def sentencepiece_model() -> bytes:
    """Return a trained tokenizer.model."""
    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXTS), model_writer=model, vocab_size=40, minloglevel=2
    )
    return model.getvalue()


def single(folder: Path) -> Path:
    base(folder)
    (folder / "tokenizer.json").write_text(byte_level_bpe(), encoding="utf-8")
    return folder


def sharded(folder: Path) -> Path:
    base(folder, {})
    (folder / "tokenizer.json").write_text(byte_level_bpe(), encoding="utf-8")
    names = list(LAYERS)
    parts = {f"model-0000{part}-of-00002.safetensors": names[part - 1 :: 2] for part in (1, 2)}
    for file, tensors in parts.items():
        (folder / file).write_bytes(safetensors({name: LAYERS[name] for name in tensors}))
    weight_map = {name: file for file, tensors in parts.items() for name in tensors}
    total = sum(SIZES[dtype] * rows * (columns[0] if columns else 1) for dtype, (rows, *columns) in LAYERS.values())
    index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))}
    write_json(folder / "model.safetensors.index.json", index)
    return folder


def dtypes(folder: Path) -> Path:
    shapes: Shapes = {f"tensor.{dtype.lower()}": (dtype, (3, 5)) for dtype in SIZES}
    return base(folder, {**shapes, "scalar": ("F32", ()), "empty": ("F16", (0, 4))}, torch_dtype="float16")


def tied(folder: Path) -> Path:
    kept = {name: shape for name, shape in LAYERS.items() if name != "lm_head.weight"}
    return base(folder, kept, tie_word_embeddings=True, rope_scaling=None, _name_or_path="/home/me/checkpoint-100")


def sentencepiece(folder: Path) -> Path:
    base(folder)
    (folder / "tokenizer.model").write_bytes(sentencepiece_model())
    write_json(folder / "special_tokens_map.json", {"bos_token": {"content": "<s>", "lstrip": False}})
    write_json(folder / "tokenizer_config.json", {"tokenizer_class": "LlamaTokenizer", "tokenizer_file": None})
    (folder / "chat_template.jinja").write_text(chat_templates.STRICT)
    return folder


def bpe(folder: Path) -> Path:
    base(folder)
    tokenizer = json.loads(byte_level_bpe())
    write_json(folder / "vocab.json", tokenizer["model"]["vocab"])
    merges = "\n".join(" ".join(pair) for pair in tokenizer["model"]["merges"])
    (folder / "merges.txt").write_text(f"#version: 0.2\n{merges}\n", encoding="utf-8")
    write_json(folder / "added_tokens.json", {"<|end|>": 300})
    return folder


def large_vocabulary(folder: Path) -> Path:
    """Tokens that look like anything: names of hooks, underscores, other scripts, escapes."""
    base(folder)
    odd = [
        "auto_map",
        "trust_remote_code",
        "__class__",
        "../../etc",
        "http://x.y",
        "ÿ",
        "日本語",
        "\u200d",
        "🙂",
        '"\\',
        " ",
    ]
    vocabulary = {token: number for number, token in enumerate(odd + [f"Ġtoken{n}" for n in range(40_000)])}
    merges = [["Ġ", f"token{number}"] for number in range(60_000)]
    write_json(
        folder / "tokenizer.json", {"version": "1.0", "model": {"type": "BPE", "vocab": vocabulary, "merges": merges}}
    )
    return folder


def many_templates(folder: Path) -> Path:
    single(folder)
    templates = [{"name": name, "template": text} for name, text in chat_templates.ALL.items()]
    write_json(folder / "tokenizer_config.json", {"tokenizer_class": "CohereTokenizerFast", "chat_template": templates})
    write_json(folder / "chat_template.json", {"chat_template": chat_templates.TOOLS})
    (folder / "chat_template.jinja").write_text(chat_templates.THINKING)
    (folder / "additional_chat_templates").mkdir()
    (folder / "additional_chat_templates" / "rag.jinja").write_text(chat_templates.MACROS)
    return folder


def quantized(folder: Path) -> Path:
    scheme = {"num_bits": 8, "type": "float", "symmetric": True, "strategy": "channel"}
    quantization = {
        "quant_method": "compressed-tensors", "format": "float-quantized", "ignore": ["lm_head"],
        "config_groups": {"group_0": {"targets": ["Linear"], "weights": scheme, "input_activations": scheme}},
    }  # fmt: skip
    weights: Shapes = {"layer.weight": ("F8_E4M3", (16, 8)), "layer.weight_scale": ("BF16", (16, 1))}
    base(folder, weights, quantization_config=quantization)
    write_json(folder / "generation_config.json", {"eos_token_id": [1, 2], "temperature": 0.6, "top_p": 0.95})
    (folder / "LICENSE").write_text("Apache License\nVersion 2.0, January 2004\n")
    (folder / "NOTICE").write_text("Copyright the authors\n")
    (folder / "USE_POLICY.md").write_text("# Use policy\n\nBe kind.\n")
    return folder


def vision(folder: Path) -> Path:
    encoder = {"model_type": "siglip_vision_model", "hidden_act": "gelu_pytorch_tanh", "patch_size": 14}
    nested = {
        "architectures": ["LlavaForConditionalGeneration"], "model_type": "llava", "image_token_index": 7,
        "text_config": CONFIG | {"_name_or_path": "org/llama-base", "_attn_implementation_autoset": True},
        "vision_config": encoder | {"attn_implementation": "sdpa"},
    }  # fmt: skip
    base(folder, **nested)
    processor = {
        "image_processor_type": "SiglipImageProcessor",
        "processor_class": "LlavaProcessor",
        "size": {"height": 1},
    }
    write_json(folder / "preprocessor_config.json", processor)
    write_json(
        folder / "processor_config.json", {"processor_class": "LlavaProcessor", "chat_template": chat_templates.MACROS}
    )
    return folder


def embedding(folder: Path) -> Path:
    """A sentence-transformers model: modules by name, a folder for each."""
    base(folder, architectures=["BertModel"], model_type="bert")
    kinds = ["Transformer", "Pooling", "Dense"]
    modules = [
        {"idx": number, "name": str(number), "path": f"{number}_{kind}", "type": f"sentence_transformers.models.{kind}"}
        for number, kind in enumerate(kinds)
    ]
    write_json(folder / "modules.json", modules)
    (folder / "2_Dense").mkdir()
    write_json(folder / "2_Dense" / "config.json", {"activation_function": "torch.nn.modules.activation.Tanh"})
    (folder / "2_Dense" / "model.safetensors").write_bytes(safetensors({"linear.weight": ("F32", (8, 8))}))
    write_json(folder / "config_sentence_transformers.json", {"prompts": {"query": "Represent: "}})
    return folder


def adapter(folder: Path) -> Path:
    """A LoRA adapter on its own, as PEFT saves it."""
    folder.mkdir(parents=True)
    config = {
        "peft_type": "LORA", "base_model_name_or_path": "ibm-granite/granite-4.0-micro", "task_type": "CAUSAL_LM",
        "r": 8, "target_modules": ["q_proj", "v_proj"], "megatron_core": "megatron.core", "auto_mapping": None,
    }  # fmt: skip
    write_json(folder / "adapter_config.json", config)
    weights: Shapes = {f"base_model.model.q_proj.lora_{side}.weight": ("F32", (8, 8)) for side in "AB"}
    (folder / "adapter_model.safetensors").write_bytes(safetensors(weights))
    (folder / "README.md").write_text(CARD.replace("apache-2.0", "MIT"))
    return folder


def model_with_adapter(folder: Path) -> Path:
    """A model that carries an adapter in a folder of its own."""
    adapter(single(folder) / "vision-lora")
    return folder


Build = Callable[[Path], Path]
MODELS: tuple[Build, ...] = (
    single, sharded, dtypes, tied, sentencepiece, bpe, large_vocabulary, many_templates, quantized, vision, embedding,
)  # fmt: skip
CLEAN: dict[str, Build] = {build.__name__: build for build in MODELS}
ADAPTERS: dict[str, Build] = {build.__name__: build for build in (adapter, model_with_adapter)}
