#!/usr/bin/env python3
"""Writes the tiny GPT-2 models of tests/data/models.

    python3 tools/make_tiny_models.py tests/data/models

Needs numpy only; the same numpy gives the same bytes. One set of random
weights (V 61, P 24, D 16, L 3, H 2, F 40, which is not 4D on purpose), every
number of which F16 and BF16 can hold, is written in all the ways that
safetensors files of GPT-2 come in: a loader must make the same bits of all of
them. The MLP has larger weights, so that a wrong activation shows. Beside them
lie the logits of a float64 forward pass that is written here from the papers'
formulas, and the ids of greedy decoding.
"""
import json
import os
import struct
import sys

import numpy as np

V, P, D, L, H, F = 61, 24, 16, 3, 2, 40
IDS = [4, 17, 60, 0, 23, 8, 8, 41, 5, 33, 12, 59]


def bf16(a):
    """The nearest bfloat16, as float32 (no ties to speak of)."""
    u = np.ascontiguousarray(a, dtype=np.float32).view(np.uint32)
    return ((u + 0x8000) & np.uint32(0xFFFF0000)).view(np.float32)


def both(a):
    """Numbers that F16 and BF16 can both hold exactly."""
    a = bf16(a)
    a[np.abs(a) < 2.0 ** -14] = 0  # F16 would make them subnormal
    assert (a.astype(np.float16).astype(np.float32) == a).all()
    return a


def make_weights(rng):
    def normal(shape, std):
        return both(rng.normal(0, std, shape))

    w = {"wte.weight": normal((V, D), 0.4), "wpe.weight": normal((P, D), 0.2)}
    for i in range(L):
        h = f"h.{i}."
        for ln in ("ln_1", "ln_2"):
            w[h + ln + ".weight"] = both(1 + rng.normal(0, 0.1, D))
            w[h + ln + ".bias"] = normal(D, 0.1)
        for name, n_in, n_out, std in (
                ("attn.c_attn", D, 3 * D, 0.3), ("attn.c_proj", D, D, 0.2),
                ("mlp.c_fc", D, F, 0.5), ("mlp.c_proj", F, D, 0.4)):
            w[h + name + ".weight"] = normal((n_in, n_out), std)
            w[h + name + ".bias"] = normal(n_out, 0.1)
    w["ln_f.weight"] = both(1 + rng.normal(0, 0.1, D))
    w["ln_f.bias"] = normal(D, 0.1)
    return w


# --- the float64 reference: Radford et al. 2019, Hendrycks and Gimpel 2016 ---

def erf(x):
    from math import erf as one
    return np.vectorize(one)(x)


ACT = {
    "gelu_new": lambda x: 0.5 * x * (1 + np.tanh(
        np.sqrt(2 / np.pi) * (x + 0.044715 * x ** 3))),
    "gelu": lambda x: 0.5 * x * (1 + erf(x / np.sqrt(2))),
}


def norm(x, g, b, eps):
    m = x.mean(-1, keepdims=True)
    return (x - m) / np.sqrt(((x - m) ** 2).mean(-1, keepdims=True) + eps) \
        * g + b


def forward(w, ids, heads=H, eps=1e-5, act="gelu_new", scale_attn=True,
            by_layer=False):
    w = {k: v.astype(np.float64) for k, v in w.items()}
    n, d = len(ids), D // heads
    x = w["wte.weight"][ids] + w["wpe.weight"][:n]
    mask = np.triu(np.full((n, n), -np.inf), 1)
    for i in range(L):
        p = {k[len(f"h.{i}."):]: v for k, v in w.items()
             if k.startswith(f"h.{i}.")}
        y = norm(x, p["ln_1.weight"], p["ln_1.bias"], eps)
        qkv = y @ p["attn.c_attn.weight"] + p["attn.c_attn.bias"]
        out = np.zeros_like(x)
        for h in range(heads):
            q, k, v = (qkv[:, j * D + h * d:j * D + (h + 1) * d]
                       for j in range(3))
            s = q @ k.T / (np.sqrt(d) if scale_attn else 1) \
                / (i + 1 if by_layer else 1) + mask
            s = np.exp(s - s.max(-1, keepdims=True))
            out[:, h * d:(h + 1) * d] = s / s.sum(-1, keepdims=True) @ v
        x = x + out @ p["attn.c_proj.weight"] + p["attn.c_proj.bias"]
        y = norm(x, p["ln_2.weight"], p["ln_2.bias"], eps)
        y = ACT[act](y @ p["mlp.c_fc.weight"] + p["mlp.c_fc.bias"])
        x = x + y @ p["mlp.c_proj.weight"] + p["mlp.c_proj.bias"]
    x = norm(x, w["ln_f.weight"], w["ln_f.bias"], eps)
    return x @ w.get("lm_head.weight", w["wte.weight"]).T


def greedy(w, ids, **kw):
    """To the end of the positions; the margin says how sure each id is."""
    ids, margin = list(ids), 9.0
    while len(ids) <= P:
        last = np.sort(forward(w, ids, **kw)[-1])
        margin = min(margin, last[-1] - last[-2])
        ids.append(int(forward(w, ids, **kw)[-1].argmax()))
    assert margin > 1e-3, margin
    return ids


# --- writing ---

def raw(a, dtype):
    if dtype == "BF16":
        return (np.ascontiguousarray(a).view(np.uint32) >> 16).astype(
            "<u2").tobytes()
    return a.astype({"F32": "<f4", "F16": "<f2", "F64": "<f8",
                     "BOOL": "u1"}[dtype]).tobytes()


def write(path, tensors, dtype="F32", metadata=True, pad=True, shuffle=None,
          names=None):
    """tensors: name -> array, or (array, dtype). shuffle: order of the data;
    the header keeps the order given."""
    items = {k: v if isinstance(v, tuple) else (v, dtype)
             for k, v in tensors.items()}
    order = list(items)
    if shuffle is not None:
        order = [order[i] for i in shuffle.permutation(len(order))]
    at, data, where = 0, [], {}
    for k in order:
        b = raw(*items[k])
        where[k] = [at, at + len(b)]
        at += len(b)
        data.append(b)
    head = {"__metadata__": {"format": "pt"}} if metadata else {}
    for k, (a, t) in items.items():
        head[k] = {"dtype": t, "shape": list(a.shape),
                   "data_offsets": where[k]}
    text = json.dumps(head, separators=(",", ":")).encode()
    if pad:
        text += b" " * (-len(text) % 8)
    elif len(text) % 8 == 0:
        text += b" "
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + b"".join(data))


def config(path, **more):
    c = {"model_type": "gpt2", "activation_function": "gelu_new",
         "layer_norm_epsilon": 1e-5, "n_ctx": P, "n_embd": D, "n_head": H,
         "n_inner": F, "n_layer": L, "n_positions": P, "vocab_size": V,
         "bos_token_id": 50256, "eos_token_id": 3}
    c.update(more)
    with open(path, "w") as f:
        json.dump({k: v for k, v in c.items() if v != "absent"}, f, indent=1)
        f.write("\n")


def main(out):
    rng = np.random.default_rng(20190214)
    w = make_weights(rng)
    pre = {"transformer." + k: v for k, v in w.items()}

    def folder(name, **more):
        d = os.path.join(out, name)
        os.makedirs(d, exist_ok=True)
        config(os.path.join(d, "config.json"), **more)
        return os.path.join(d, "model.safetensors")

    write(folder("f32"), w)
    write(folder("f16", n_head="absent", num_attention_heads=H), pre, "F16")
    write(folder("bf16"), {"model." + k: v for k, v in pre.items()}, "BF16",
          metadata=False, pad=False, shuffle=rng)
    masks = {}
    for i in range(L):
        masks[f"transformer.h.{i}.attn.bias"] = (
            np.tril(np.ones((1, 1, P, P))), ("F16", "BOOL", "F32")[i])
        masks[f"transformer.h.{i}.attn.masked_bias"] = (
            np.float32(-1e4), "F32")
    masks["lm_head.weight"] = (w["wte.weight"], "F32")  # an equal copy
    mixed = {k: (v, ("F32", "F16", "BF16", "F64")[i % 4] if v.ndim == 1
                 else ("F16", "BF16")[i % 2])
             for i, (k, v) in enumerate(pre.items())}
    write(folder("masks", tie_word_embeddings=False),
          {**{"module." + k: v for k, v in mixed.items()},
           **{"module." + k: v for k, v in masks.items()}}, shuffle=rng)
    # nn.Linear: the four matrices of each layer lie [n_out, n_in].
    write(folder("linear"),
          {"_orig_mod." + k: np.ascontiguousarray(v.T)
           if ".attn." in k or ".mlp." in k else v
           for k, v in pre.items()}, "F16")
    # Three shards and an index; one tensor of a shard is not in the index.
    base = os.path.dirname(folder("shards"))
    names = list(pre)
    cut = [names[:5], names[5:30], names[30:]]
    index = {}
    for i, part in enumerate(cut):
        f = f"model-{i + 1:05}-of-00003.safetensors"
        tensors = {k: pre[k] for k in part}
        index.update({k: f for k in part})
        if i == 1:
            tensors["unlisted"] = np.zeros(3, np.float32)
        write(os.path.join(base, f), tensors, "BF16")
    with open(os.path.join(base, "model.safetensors.index.json"), "w") as f:
        json.dump({"metadata": {"total_size": sum(
            2 * v.size for v in pre.values())}, "weight_map": index}, f,
            indent=1)
        f.write("\n")
    head = {**w, "lm_head.weight": both(rng.normal(0, 0.4, (V, D)))}
    write(folder("untied", tie_word_embeddings=False), head, "F16")

    zh = "的一是了我不人在他有这个上们来到时大地为子中你说生国年着就那和要她出也得里后自以会家可下而过天去"
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "，", "。", "ab",
              "##c"] + list(zh)[:V - 10]
    with open(os.path.join(out, "f32", "vocab.txt"), "w") as f:
        f.write("\n".join(tokens) + "\n")

    runs = {"tied": (w, {}), "untied": (head, {}),
            "variant": (w, {"act": "gelu", "eps": 1e-3, "heads": 4,
                            "by_layer": True})}
    for name, (weights, kw) in runs.items():
        rows = forward(weights, IDS, **kw)
        rows.astype("<f4").tofile(os.path.join(out, name + ".logits"))
        with open(os.path.join(out, name + ".greedy"), "w") as f:
            f.write(" ".join(map(str, greedy(weights, IDS, **kw))) + "\n")
    # What a mistake would cost must be far more than float32's rounding.
    a = forward(w, IDS)
    for kw in ({"act": "gelu"}, {"eps": 1e-4}, {"heads": 4},
               {"by_layer": True}, {"scale_attn": False}):
        assert np.abs(forward(w, IDS, **kw) - a).max() > 4e-4, kw


if __name__ == "__main__":
    main(sys.argv[1])
