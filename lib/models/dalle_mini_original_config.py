"""The config.json of the authors' DALL·E Mini (github.com/borisdayma/dalle-mini, package dalle-mini 0.1.5).

It describes the same networks as `DalleMiniConfig`, under other names. The image vocabulary of the original may be
padded so that it divides between devices, for instance `image_vocab_size` 16391 for 16384 codes. The id after the last
code is BOS (`decoder_start_token_id`); the ids after that are never used. Imports no JAX.
"""

import json
from pathlib import Path
from typing import Any, Literal

from lib.errors import EaselError
from lib.models.layout import DalleMiniConfig, Layout

CONFIG_FILE = "config.json"
TEXT_PADDING = 1  # of the original's tokenizer; its config.json does not say
LISTED = 20  # names that an error message lists of each kind

# The original's defaults, for settings that config.json leaves out.
DEFAULTS = {
    "encoder_vocab_size": 50264,
    "image_vocab_size": 16384,
    "image_length": 256,
    "max_text_length": 64,
    "encoder_layers": 12,
    "encoder_ffn_dim": 4096,
    "encoder_attention_heads": 16,
    "decoder_layers": 12,
    "decoder_ffn_dim": 4096,
    "decoder_attention_heads": 16,
    "activation_function": "gelu",
    "d_model": 1024,
    "dropout": 0.1,
    "attention_dropout": 0.0,
    "activation_dropout": 0.0,
    "init_std": 0.02,
    "scale_embedding": False,
    "gradient_checkpointing": True,
    "use_scan": True,  # but False for ln_positions "swinv2"
    "decoder_start_token_id": 16384,  # which is image_vocab_size
    "use_bias": False,
    "ln_type": "layernorm",
    "ln_positions": "normformer",
    "use_head_scale": False,
    "use_cosine_attention": False,
    "tau_init": 0.05,
    "use_absolute_position_embeddings": True,
    "use_swin_position_embeddings": False,
    "use_deepnet_scaling": False,
    "use_subln_init": False,
    "use_glu": True,
    "sinkhorn_iters": 1,
    "use_final_ln_encoder": True,
    "use_final_ln_decoder": True,
    "force_ln_scale": False,
    "text_padding": TEXT_PADDING,  # ours; written only where it differs, and passed over by the original
}

KINDS = {bool: "true or false", int: "a whole number above 0", float: "a number", str: "a name"}

# Fields of `Layout` that have one setting of the original, of the same meaning.
LAYOUT_KEYS = {
    "gated": "use_glu",
    "bias": "use_bias",
    "norm": "ln_type",
    "norm_placement": "ln_positions",
    "force_norm_scale": "force_ln_scale",
    "final_norm_encoder": "use_final_ln_encoder",
    "final_norm_decoder": "use_final_ln_decoder",
    "head_scale": "use_head_scale",
    "cosine_attention": "use_cosine_attention",
    "tau_init": "tau_init",
    "deepnet_scaling": "use_deepnet_scaling",
    "subln_init": "use_subln_init",
    "sinkhorn_iterations": "sinkhorn_iters",
    "swin_positions": "use_swin_position_embeddings",
    "absolute_positions": "use_absolute_position_embeddings",
    "scale_embedding": "scale_embedding",
    "dropout": "dropout",
    "attention_dropout": "attention_dropout",
    "activation_dropout": "activation_dropout",
    "init_std": "init_std",
    "remat": "gradient_checkpointing",
}

# The original's SmeLU is faulty, so it is not our `smelu`.
ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "quick_gelu": "quick_gelu",
    "relu": "relu",
    "silu": "swish",
    "swish": "swish",
    "smelu": "smelu_original",
}

# Settings with one value that this model can follow.
ONLY = {
    "model_type": "dallebart",
    "is_encoder_decoder": True,
    "is_decoder": False,
    "add_cross_attention": False,
    "cross_attention_hidden_size": None,
    "pruned_heads": {},
    "tie_encoder_decoder": False,
    "tie_word_embeddings": False,
    "use_alibi": False,
    "encoder_layerdrop": 0.0,
    "decoder_layerdrop": 0.0,
}

# Passed over: what Hugging Face transformers keeps in every config.json about files, text preprocessing and
# generation, which changes neither the network nor its parameters; and every name that starts with an underscore.
BOOKKEEPING = """
architectures bad_words_ids begin_suppress_tokens bos_token_id chunk_size_feed_forward classifier_dropout
diversity_penalty do_sample
dtype early_stopping encoder_no_repeat_ngram_size eos_token_id exponential_decay_length_penalty finetuning_task
forced_bos_token_id forced_eos_token_id id2label label2id length_penalty max_length min_length name_or_path
no_repeat_ngram_size normalize_text num_beam_groups num_beams num_return_sequences output_attentions
output_hidden_states output_scores pad_token_id prefix problem_type remove_invalid_values repetition_penalty
return_dict return_dict_in_generate sep_token_id suppress_tokens task_specific_params temperature tokenizer_class
top_k top_p torch_dtype torchscript transformers_version typical_p use_bfloat16 use_cache
"""

_MINI = {
    "d_model": 1024,
    "dropout": 0.0,
    "init_std": 0.02,
    "gradient_checkpointing": False,
    "encoder_vocab_size": 50264,
}
_MEGA = {
    "d_model": 2048,
    "dropout": 0.0,
    "init_std": 0.01,
    "gradient_checkpointing": False,
    "encoder_vocab_size": 50272,
}


def original_config(size: Literal["mini", "mini_glu", "mega"]) -> dict[str, Any]:
    """A size that the authors published, as its config.json (tools/train/config of their repository).

    `mini` says `use_glu` False, which the authors' file leaves to a default. The default was False at first and True
    later, and with True the same file describes a larger network.

    Raises:
        EaselError: no such size.
    """
    sizes = {
        "mini": _MINI | _sides(12, 4096, 16) | {"image_vocab_size": 16391, "use_glu": False},
        "mini_glu": _MINI | _sides(12, 2730, 16) | {"image_vocab_size": 16384, "use_glu": True},
        "mega": _MEGA | _sides(24, 4096, 32) | {"image_vocab_size": 16415, "use_glu": True},
    }
    if size not in sizes:
        raise EaselError(f"DALL·E Mini has no size {size!r}; the published ones are {', '.join(sizes)}.")
    return {"model_type": "dallebart", "decoder_start_token_id": 16384} | sizes[size]


def _sides(layers: int, feed_forward: int, heads: int) -> dict[str, int]:
    """Encoder and decoder of one size."""
    numbers = {"layers": layers, "ffn_dim": feed_forward, "attention_heads": heads}
    return {f"{side}_{name}": number for side in ("encoder", "decoder") for name, number in numbers.items()}


def read_config(source: Path | str | dict[str, Any]) -> DalleMiniConfig:
    """The configuration that the original's config.json describes.

    Args:
        source: the parsed file, or its path, or that of its folder.

    Raises:
        EaselError: no such file, or not JSON; settings that this model cannot follow, all of them named.
    """
    given = source if isinstance(source, dict) else _read_json(Path(source))
    settings = DEFAULTS | {name: value for name, value in given.items() if name in DEFAULTS}
    if given.get("ln_positions") == "deepnet":  # another name of the same
        settings["ln_positions"] = "postln"
    if given.get("use_scan") is None:
        settings["use_scan"] = settings["ln_positions"] != "swinv2"
    if given.get("decoder_start_token_id") is None:
        settings["decoder_start_token_id"] = settings["image_vocab_size"]
    wrong = _unsupported(given, settings)
    if wrong:
        raise EaselError(f"this DALL·E Mini configuration cannot be used: {'; '.join(wrong)}.")
    codes = settings["decoder_start_token_id"]
    return DalleMiniConfig(
        text_vocabulary=settings["encoder_vocab_size"],
        text_length=settings["max_text_length"],
        text_padding=settings["text_padding"],
        codes=codes,
        image_length=settings["image_length"],
        width=settings["d_model"],
        encoder_layers=settings["encoder_layers"],
        decoder_layers=settings["decoder_layers"],
        heads=settings["encoder_attention_heads"],
        feed_forward=settings["encoder_ffn_dim"],
        layout=Layout(
            activation=ACTIVATIONS[settings["activation_function"]],
            scan=settings["use_scan"],
            sinkhorn_padding=settings["sinkhorn_iters"] > 1,
            **{field: settings[key] for field, key in LAYOUT_KEYS.items()},
        ),
        padded_codes=settings["image_vocab_size"] - codes,
    )


def _read_json(path: Path) -> dict[str, Any]:
    path = path / CONFIG_FILE if path.is_dir() else path
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise EaselError(f"{path} cannot be read ({error.strerror}); it is the original's {CONFIG_FILE}.") from error
    except (ValueError, RecursionError) as error:
        raise EaselError(f"{path} is not JSON ({error}); fetch the original's {CONFIG_FILE} again.") from error
    if not isinstance(content, dict):
        raise EaselError(f"{path} is JSON, but not a set of named settings; fetch the original's {CONFIG_FILE} again.")
    return content


def _unsupported(given: dict[str, Any], settings: dict[str, Any]) -> list[str]:
    """What stands in the way of `given`, one phrase each; `settings` is the same with the defaults filled in."""
    wrong = [
        f"{name} is {value!r}, must be {KINDS[type(DEFAULTS[name])]}"
        for name, value in settings.items()
        if not _fits(value, DEFAULTS[name], minimum=0 if name == "text_padding" else 1)
    ]
    if wrong:
        return wrong
    wrong = [
        f"{name} is {given[name]!r}, only {value!r} is supported"
        for name, value in ONLY.items()
        if name in given and given[name] != value
    ]
    for name in ("ffn_dim", "attention_heads"):
        encoder, decoder = settings[f"encoder_{name}"], settings[f"decoder_{name}"]
        if encoder != decoder:
            wrong.append(f"encoder_{name} is {encoder} but decoder_{name} {decoder}, only equal ones are supported")
    activation = settings["activation_function"]
    if activation not in ACTIVATIONS:
        wrong.append(f"activation_function is {activation!r}, must be one of {', '.join(ACTIVATIONS)}")
    start, vocabulary = settings["decoder_start_token_id"], settings["image_vocab_size"]
    if not 0 < start <= vocabulary:
        wrong.append(
            f"decoder_start_token_id is {start}, must lie in 1 to {vocabulary} (image_vocab_size): it follows the codes"
        )
    known = set(BOOKKEEPING.split()).union(DEFAULTS, ONLY)
    unknown = [name for name in sorted(given) if name not in known and not name.startswith("_")]
    if unknown:
        wrong.append(f"unknown settings: {shortened(unknown, ', ')}")
    return wrong


def _fits(value: Any, default: Any, minimum: int) -> bool:
    """Whether `value` is of the kind of the original's `default`, and not below `minimum` if that is a whole number."""
    if isinstance(default, float):
        return isinstance(value, int | float) and not isinstance(value, bool)
    return type(value) is type(default) and (type(default) is not int or value >= minimum)


def shortened(names: list[str], separator: str = "; ") -> str:
    """`names` in one line, of which no more than `LISTED` are written out."""
    rest = f"{separator}and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return separator.join(names[:LISTED]) + rest


def write_config(config: DalleMiniConfig) -> dict[str, Any]:
    """The original's config.json of a configuration; `read_config` gives `config` back.

    `compute_dtype` is not part of it: the original takes it as an argument.

    Raises:
        EaselError: an activation or a Sinkhorn attention that the original does not have.
    """
    layout = config.layout
    activations = {ours: theirs for theirs, ours in ACTIVATIONS.items()}
    if layout.activation not in activations:
        raise EaselError(
            f"the original DALL·E Mini has no activation {layout.activation!r}, only {', '.join(activations)}; "
            "this model cannot be saved in its format."
        )
    if layout.sinkhorn_iterations > 1 and not layout.sinkhorn_padding:
        raise EaselError(
            "the original's Sinkhorn attention normalises columns over padding too, and this network's does not "
            "(sinkhorn_padding false); this model cannot be saved in its format."
        )
    settings = {
        "model_type": "dallebart",
        "is_encoder_decoder": True,
        "tie_word_embeddings": False,
        "encoder_vocab_size": config.text_vocabulary,
        "image_vocab_size": config.codes + config.padded_codes,
        "decoder_start_token_id": config.codes,
        "image_length": config.image_length,
        "max_text_length": config.text_length,
        "d_model": config.width,
        "encoder_layers": config.encoder_layers,
        "decoder_layers": config.decoder_layers,
        "activation_function": activations[layout.activation],
        "use_scan": layout.scan,
    }
    for side in ("encoder", "decoder"):
        settings |= {f"{side}_ffn_dim": config.feed_forward, f"{side}_attention_heads": config.heads}
    settings |= {key: getattr(layout, field) for field, key in LAYOUT_KEYS.items()}
    if config.text_padding != TEXT_PADDING:
        settings["text_padding"] = config.text_padding
    return settings
