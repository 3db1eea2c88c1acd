#!/usr/bin/env python3
"""Writes the tiny models of tests/data/models that are no safetensors files.

    python3 tools/make_foreign_models.py tests/data/models

Needs numpy only; the same numpy gives the same bytes. torch.save's two forms,
TensorFlow checkpoints and GGUF are written here from their formats'
descriptions, not by the libraries; the recordings of the libraries themselves
are compared in tests/original_test.c. zip, legacy and openai hold the weights
of f32 (make_tiny_models.py), so its logits are theirs; grover, gpt1 and gguf
have their own, from float64 forward passes written here from the papers'
formulas, and what a mistake would change is asserted to be plain to see.
"""
import io
import json
import os
import pickle
import struct
import sys
import types
import zlib
from collections import OrderedDict

import numpy as np

import make_tiny_models as tiny
from make_tiny_models import D, F, H, IDS, L, P, V, both, norm, raw

# --- torch.save: the modules that a pickle names, as far as it names them ---


class Storage:
    def __init__(self, kind, data, key):
        self.kind, self.data, self.key = kind, data, key


def fake_torch():
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    for name in ("FloatStorage", "HalfStorage", "BFloat16Storage",
                 "ByteStorage"):
        setattr(torch, name, type(name, (), {"__module__": "torch"}))

    def _rebuild_tensor_v2(*args):
        raise NotImplementedError
    _rebuild_tensor_v2.__module__ = "torch._utils"
    _rebuild_tensor_v2.__qualname__ = "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2
    sys.modules["torch"], sys.modules["torch._utils"] = torch, utils
    return torch, utils


TORCH, UTILS = fake_torch()
KIND = {"F32": TORCH.FloatStorage, "F16": TORCH.HalfStorage,
        "BF16": TORCH.BFloat16Storage, "BOOL": TORCH.ByteStorage}
SIZE = {"F32": 4, "F16": 2, "BF16": 2, "BOOL": 1}


class Tensor:
    """A view of a storage."""

    def __init__(self, storage, offset, shape, stride):
        self.args = (storage, offset, tuple(shape), tuple(stride), False,
                     OrderedDict())

    def __reduce__(self):
        return UTILS._rebuild_tensor_v2, self.args


class Pickler(pickle.Pickler):
    legacy = False

    def persistent_id(self, obj):
        if not isinstance(obj, Storage):
            return None
        n = len(obj.data) // SIZE[obj.kind]
        return ("storage", KIND[obj.kind], obj.key, "cpu", n) + \
            ((None,) if self.legacy else ())


def pickled(obj, legacy=False):
    f = io.BytesIO()
    p = Pickler(f, protocol=2)
    p.legacy = legacy
    p.dump(obj)
    return f.getvalue()


def state_dict(w, key_of):
    """Matrices lie transposed behind views, as some converters leave them;
    types differ; the head is the embedding's storage; masks stand between."""
    storages, out = [], OrderedDict()

    def storage(a, kind):
        s = Storage(kind, raw(np.ascontiguousarray(a), kind),
                    key_of(len(storages)))
        storages.append(s)
        return s

    for i, (k, a) in enumerate(w.items()):
        kind = ("F32", "F16", "BF16")[i % 3] if a.ndim == 1 else \
            ("F16", "BF16")[i % 2]
        if ".mlp.c_fc." in k and a.ndim == 2:
            kind = "F32"
        if a.ndim == 2 and ".weight" in k and not k.startswith("w"):
            s = storage(a.T, kind)
            t = Tensor(s, 0, a.shape, (1, a.shape[0]))
        elif k == "wpe.weight":  # a slice of something larger
            big = np.concatenate([np.full((1, D), 9, np.float32), a])
            t = Tensor(storage(big, kind), D, a.shape, (D, 1))
        else:
            s = storage(a, kind)
            t = Tensor(s, 0, a.shape,
                       (a.shape[1], 1) if a.ndim == 2 else (1,))
        out["transformer." + k] = t
        if k == "wte.weight":
            out["lm_head.weight"] = Tensor(s, 0, a.shape, (D, 1))
    mask = storage(np.tril(np.ones((P, P))), "BOOL")
    for i in range(L):
        out[f"transformer.h.{i}.attn.bias"] = Tensor(
            mask, 0, (1, 1, P, P), (P * P, P * P, P, 1))
    return out, storages


def write_zip(path, w):
    obj, storages = state_dict(w, str)
    entries = [("pytorch_model/data.pkl", pickled(obj)),
               ("pytorch_model/byteorder", b"little")]
    entries += [(f"pytorch_model/data/{s.key}", s.data) for s in storages]
    entries += [("pytorch_model/version", b"3\n")]
    out, central = b"", b""
    for name, data in entries:
        n, at = name.encode(), len(out)
        # sizes follow the data; padding puts the data at a multiple of 64
        pad = -(at + 30 + len(n) + 4) % 64
        extra = struct.pack("<HH", 0x4246, pad) + b"Z" * pad
        crc = zlib.crc32(data)
        out += struct.pack("<IHHHHHIIIHH", 0x04034b50, 0, 0x0808, 0, 0, 0, 0,
                           0, 0, len(n), len(extra)) + n + extra + data
        out += struct.pack("<IIII", 0x08074b50, crc, len(data), len(data))
        central += struct.pack(
            "<IHHHHHHIIIHHHHHII", 0x02014b50, 0, 0, 0x0808, 0, 0, 0, crc,
            len(data), len(data), len(n), 0, 0, 0, 0, 0, at) + n
    at = len(out)
    out += central
    end = len(out)
    out += struct.pack("<IQHHIIQQQQ", 0x06064b50, 44, 0, 45, 0, 0,
                       len(entries), len(entries), len(central), at)
    out += struct.pack("<IIQI", 0x07064b50, 0, end, 1)
    out += struct.pack("<IHHHHIIH", 0x06054b50, 0, 0, 0xFFFF, 0xFFFF,
                       0xFFFFFFFF, 0xFFFFFFFF, 0)
    with open(path, "wb") as f:
        f.write(out)


def write_legacy(path, w):
    obj, storages = state_dict(w, lambda i: str(94000000000000 + 4096 * i))
    info = {"protocol_version": 1001, "little_endian": True,
            "type_sizes": {"short": 2, "int": 4, "long": 4}}
    out = pickle.dumps(0x1950a86a20f9469cfc6c, 2) + pickle.dumps(1001, 2)
    out += pickle.dumps(info, 2) + pickled(obj, legacy=True)
    by_key = {s.key: s for s in storages}
    out += pickle.dumps(sorted(by_key), 2)
    for key in sorted(by_key):
        s = by_key[key]
        out += struct.pack("<q", len(s.data) // SIZE[s.kind]) + s.data
    with open(path, "wb") as f:
        f.write(out)


# --- TensorFlow: a LevelDB table of protocol buffers, and raw data ---

CRC = []
for n in range(256):
    for _ in range(8):
        n = n >> 1 ^ (0x82F63B78 if n & 1 else 0)
    CRC.append(n)


def masked_crc(b):
    c = 0xFFFFFFFF
    for x in b:
        c = c >> 8 ^ CRC[(c ^ x) & 255]
    c ^= 0xFFFFFFFF
    return (((c >> 15 | c << 17) & 0xFFFFFFFF) + 0xA282EAD8) & 0xFFFFFFFF


def varint(n):
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def field(number, wire, v):
    head = varint(number << 3 | wire)
    if wire == 0:
        return head + varint(v)
    return head + (struct.pack("<I", v) if wire == 5 else
                   varint(len(v)) + v)


def table_block(pairs, interval):
    out, restarts, last = b"", [], b""
    for i, (k, v) in enumerate(pairs):
        shared = 0
        if i % interval == 0:
            restarts.append(len(out))
        else:
            while shared < min(len(k), len(last)) and k[shared] == last[shared]:
                shared += 1
        out += varint(shared) + varint(len(k) - shared) + varint(len(v)) \
            + k[shared:] + v
        last = k
    restarts = restarts or [0]
    return out + struct.pack(f"<{len(restarts) + 1}I", *restarts,
                             len(restarts))


def snappy(b):
    """Literals, and copies of what stood 1..2047 bytes before."""
    out, i, lit = varint(len(b)), 0, 0

    def literal(s):
        r = b""
        for j in range(0, len(s), 60):
            r += bytes([(len(s[j:j + 60]) - 1) << 2]) + s[j:j + 60]
        return r
    while i < len(b):
        at = b.rfind(b[i:i + 8], max(0, i - 2047), i) if i + 8 <= len(b) else -1
        if at < 0:
            i += 1
            continue
        n, far = 8, i - at
        out += literal(b[lit:i])
        out += bytes([far >> 8 << 5 | (n - 4) << 2 | 1, far & 255])
        i += n
        lit = i
    return out + literal(b[lit:])


def write_bundle(prefix, tensors, shards=1, packed=False):
    data, pairs = [b""] * shards, []
    for i, name in enumerate(sorted(tensors)):
        a = np.asarray(tensors[name])
        b = np.ascontiguousarray(a).tobytes()
        s = i % shards
        shape = b"".join(field(2, 2, field(1, 0, d) if d else b"")
                         for d in a.shape)
        e = field(1, 0, {"float32": 1, "int64": 9}[str(a.dtype)]) \
            + field(2, 2, shape)
        e += field(3, 0, s) if s else b""
        e += field(4, 0, len(data[s])) if data[s] else b""
        pairs.append((name.encode(),
                      e + field(5, 0, len(b)) + field(6, 5, masked_crc(b))))
        data[s] += b
    pairs.insert(0, (b"", field(1, 0, shards) + field(3, 2, field(1, 0, 1))))
    out = b""

    def emit(block):
        nonlocal out
        block = (snappy(block) if packed else block) + bytes([packed])
        at = len(out)
        out += block + struct.pack("<I", masked_crc(block))
        return varint(at) + varint(len(block) - 1)

    index = [(pairs[i:i + 12][-1][0], emit(table_block(pairs[i:i + 12], 4)))
             for i in range(0, len(pairs), 12)]
    foot = emit(table_block([], 1)) + emit(table_block(index, 1))
    out += foot + b"\0" * (40 - len(foot)) + bytes.fromhex("57fb808b247547db")
    with open(prefix + ".index", "wb") as f:
        f.write(out)
    for s in range(shards):
        with open(f"{prefix}.data-{s:05}-of-{shards:05}", "wb") as f:
            f.write(data[s])


def openai_names(w):
    out = {}
    for k, a in w.items():
        k = k.replace("h.", "h", 1) if k.startswith("h.") else k
        k = "model/" + k.replace(".", "/")
        ln = "/ln_" in k
        for old, new in (("/weight", "/g" if ln else "/w"), ("/bias", "/b")):
            if k.endswith(old):
                k = k[:-len(old)] + new
        if k in ("model/wte/w", "model/wpe/w"):
            k = k[:-2]
        elif a.ndim == 2:
            a = a[None]
        out[k] = a
    return out


# --- GROVER (arXiv 1905.12616) and GPT-1 (Radford et al. 2018) ---

def attention(w, p, x, heads):
    n, d = len(x), x.shape[1] // heads
    mask = np.triu(np.full((n, n), -np.inf), 1)
    q, k, v = (x @ w[p + s][0] + w[p + s][1] for s in "qkv")
    out = np.zeros_like(x)
    for h in range(heads):
        c = slice(h * d, (h + 1) * d)
        s = q[:, c] @ k[:, c].T / np.sqrt(d) + mask
        s = np.exp(s - s.max(-1, keepdims=True))
        out[:, c] = s / s.sum(-1, keepdims=True) @ v[:, c]
    return out @ w[p + "o"][0] + w[p + "o"][1]


def mlp(w, p, x, act):
    return tiny.ACT[act](x @ w[p + "1"][0] + w[p + "1"][1]) @ w[p + "2"][0] \
        + w[p + "2"][1]


def forward(w, ids, net, heads, act=None, normalised=None, final=False,
            swap=False):
    """w: name -> (matrix, bias) or (gain, bias), 'tok' and 'pos' arrays. The
    last arguments are mistakes."""
    w = {k: tuple(a.astype(np.float64) for a in v) if isinstance(v, tuple)
         else v.astype(np.float64) for k, v in w.items()}
    grover = net == "grover"
    act = act or ("gelu" if grover else "gelu_new")
    normalised = not grover if normalised is None else normalised
    x = w["tok"][ids] + w["pos"][:len(ids)]
    if grover:
        x = norm(x, *w["embed"], 1e-5)
    layers = sum(k.endswith(".q") for k in w)
    for i in range(layers):
        p = f"{i}."
        a, b = (p + "ln1", p + "ln0") if swap else (p + "ln0", p + "ln1")
        x1 = x + attention(w, p, x, heads)
        y = norm(x1, *w[a], 1e-5)
        x = norm((y if normalised else x1) + mlp(w, p, y, act), *w[b], 1e-5)
    if final:
        x = norm(x, np.ones(x.shape[1]), np.zeros(x.shape[1]), 1e-5)
    return x @ w["tok"].T


def block_weights(rng, v, p, d, f, layers, embed):
    n = lambda *s, std=0.3: both(rng.normal(0, std, s))
    ln = lambda: (both(1 + rng.normal(0, 0.2, d)), n(d, std=0.2))
    w = {"tok": n(v, d, std=0.4), "pos": n(p, d, std=0.3)}
    if embed:
        w["embed"] = ln()
    for i in range(layers):
        for s in "qkvo":
            w[f"{i}.{s}"] = (n(d, d, std=0.35), n(d, std=0.1))
        w[f"{i}.1"] = (n(d, f, std=0.5), n(f, std=0.1))
        w[f"{i}.2"] = (n(f, d, std=0.5), n(d, std=0.1))
        w[f"{i}.ln0"], w[f"{i}.ln1"] = ln(), ln()
    return w


def grover_names(w, layers):
    top = "newslm/"
    out = {top + "embeddings/word_embed": w["tok"],
           top + "embeddings/pos_embed": w["pos"],
           "global_step": np.int64(7)}

    def put(name, pair, a="kernel", b="bias"):
        out[f"{top}{name}/{a}"], out[f"{top}{name}/{b}"] = pair
    put("embeddings/LayerNorm_embed_norm", w["embed"], "gamma", "beta")
    for i in range(layers):
        base = f"layer{i:02}/"
        for s, name in (("q", "query_layer"), ("k", "key_layer"),
                        ("v", "value_layer"),
                        ("o", "context_projection_layer"),
                        ("1", "intermediate"), ("2", "output")):
            put(base + name, w[f"{i}.{s}"])
        for s in ("ln0", "ln1"):
            put(f"{base}LayerNorm_mlp_{s}", w[f"{i}.{s}"], "gamma", "beta")
    slots = {}
    for k, a in out.items():  # what the optimizer leaves behind
        if k.endswith("query_layer/kernel"):
            slots[k + "/adafactor_vr"] = a.mean(1)
            slots[k + "/adafactor_vc"] = a.mean(0)
    return {**out, **slots}


def gpt1_names(w, layers):
    out = {"tokens_embed.weight": w["tok"], "positions_embed.weight": w["pos"]}
    for i in range(layers):
        h = f"h.{i}."
        out[h + "attn.c_attn.weight"] = np.concatenate(
            [w[f"{i}.{s}"][0] for s in "qkv"], 1)
        out[h + "attn.c_attn.bias"] = np.concatenate(
            [w[f"{i}.{s}"][1] for s in "qkv"])
        for s, name in (("o", "attn.c_proj"), ("1", "mlp.c_fc"),
                        ("2", "mlp.c_proj"), ("ln0", "ln_1"),
                        ("ln1", "ln_2")):
            out[h + name + ".weight"], out[h + name + ".bias"] = w[f"{i}.{s}"]
    return out


# --- GGUF ---

def q8_0(a):
    b = a.reshape(-1, 32)
    d = (np.abs(b).max(1) / 127).astype(np.float16)
    q = np.round(b / np.maximum(d[:, None].astype(np.float32), 1e-9))
    q = np.clip(q, -127, 127).astype(np.int8)
    data = b"".join(x.tobytes() + y.tobytes() for x, y in zip(d, q))
    return data, (d[:, None].astype(np.float64) * q).reshape(a.shape)


def q4_0(a):
    b = a.reshape(-1, 32)
    top = np.take_along_axis(b, np.abs(b).argmax(1)[:, None], 1)[:, 0]
    d = (top / -8).astype(np.float16)
    q = np.clip(b / d[:, None].astype(np.float32) + 8.5, 0, 15).astype(np.uint8)
    data = b"".join(x.tobytes() + (y[:16] | y[16:] << 4).tobytes()
                    for x, y in zip(d, q))
    return data, (d[:, None].astype(np.float64)
                  * (q.astype(np.float64) - 8)).reshape(a.shape)


def f16(a):
    return a.astype("<f2").tobytes(), a.astype("<f2").astype(np.float64)


def f32(a):
    return a.astype("<f4").tobytes(), a.astype(np.float64)


TYPES = {f32: 0, f16: 1, q4_0: 2, q8_0: 8}


def gguf_text(s):
    s = s.encode() if isinstance(s, str) else s
    return struct.pack("<Q", len(s)) + s


def gguf_value(v):
    if isinstance(v, str):
        return struct.pack("<I", 8) + gguf_text(v)
    if isinstance(v, int):
        return struct.pack("<II", 4, v)
    if isinstance(v, float):
        return struct.pack("<If", 6, v)
    if isinstance(v[0], str):
        return struct.pack("<IIQ", 9, 8, len(v)) + b"".join(map(gguf_text, v))
    return struct.pack("<IIQ", 9, 5, len(v)) + struct.pack(f"<{len(v)}i", *v)


def write_gguf(path, meta, tensors):
    head, data = b"", b""
    for name, (a, how) in tensors.items():
        b = how(a)[0]
        head += gguf_text(name) + struct.pack("<I", a.ndim)
        head += struct.pack(f"<{a.ndim}Q", *reversed(a.shape))
        head += struct.pack("<IQ", TYPES[how], len(data))
        data += b + b"\0" * (-len(b) % 32)
    out = struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(meta))
    out += b"".join(gguf_text(k) + gguf_value(v) for k, v in meta.items())
    out += head
    with open(path, "wb") as f:
        f.write(out + b"\0" * (-len(out) % 32) + data)


def gguf_model(out, rng):
    """V 300 D 32 L 1 H 2 F 64; 290 tokens and fillers; two kinds of blocks."""
    v, p, d, f = 300, 20, 32, 64
    n = lambda *s, std=0.3: rng.normal(0, std, s).astype(np.float32)
    shape = {"token_embd.weight": ((v, d), q8_0),
             "position_embd.weight": ((p, d), f32),
             "blk.0.attn_qkv.weight": ((3 * d, d), q4_0),
             "blk.0.attn_output.weight": ((d, d), q8_0),
             "blk.0.ffn_up.weight": ((f, d), q4_0),
             "blk.0.ffn_down.weight": ((d, f), f16)}
    t = {k: (n(*s), how) for k, (s, how) in shape.items()}
    for k, size in (("blk.0.attn_qkv.bias", 3 * d),
                    ("blk.0.attn_output.bias", d), ("blk.0.ffn_up.bias", f),
                    ("blk.0.ffn_down.bias", d)):
        t[k] = (n(size, std=0.1), f32)
    for k in ("blk.0.attn_norm", "blk.0.ffn_norm", "output_norm"):
        t[k + ".weight"] = (1 + n(d, std=0.1), f32)
        t[k + ".bias"] = (n(d, std=0.1), f32)
    letters = [chr(b) for b in range(256)
               if 33 <= b <= 126 or 161 <= b <= 172 or 174 <= b <= 255]
    letters += [chr(256 + i) for i in range(68)]
    merges = ["t h", "th e", "\u0120 the", "i n", "e r", "\u00e4 \u00b8",
              "\u00e4\u00b8 \u0143"]
    tokens = ["<|endoftext|>"] + letters + [m.replace(" ", "") for m in merges]
    tokens += [f"x{i}" for i in range(290 - len(tokens) - 1)] + ["<user>"]
    kinds = [3] + [1] * 288 + [4] + [5] * 10
    tokens += [f"[PAD{i}]" for i in range(290, v)]
    write_gguf(os.path.join(out, "gguf", "model.gguf"), {
        "general.architecture": "gpt2", "gpt2.context_length": p,
        "gpt2.embedding_length": d, "gpt2.block_count": 1,
        "gpt2.feed_forward_length": f, "gpt2.attention.head_count": 2,
        "gpt2.attention.layer_norm_epsilon": 1e-5,
        "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.tokens": tokens, "tokenizer.ggml.token_type": kinds,
        "tokenizer.ggml.merges": merges, "tokenizer.ggml.eos_token_id": 0}, t)
    w = {k: how(a)[1] for k, (a, how) in t.items()}
    hf = {"wte.weight": w["token_embd.weight"],
          "wpe.weight": w["position_embd.weight"],
          "ln_f.weight": w["output_norm.weight"],
          "ln_f.bias": w["output_norm.bias"]}
    for a, b in (("attn_norm", "ln_1"), ("attn_qkv", "attn.c_attn"),
                 ("attn_output", "attn.c_proj"), ("ffn_norm", "ln_2"),
                 ("ffn_up", "mlp.c_fc"), ("ffn_down", "mlp.c_proj")):
        hf[f"h.0.{b}.weight"] = w[f"blk.0.{a}.weight"].T
        hf[f"h.0.{b}.bias"] = w[f"blk.0.{a}.bias"]
    old = tiny.D, tiny.L
    tiny.D, tiny.L = d, 1
    rows = tiny.forward(hf, IDS, heads=2)
    tiny.D, tiny.L = old
    rows.astype("<f4").tofile(os.path.join(out, "gguf.logits"))


def put_json(path, what):
    with open(path, "w") as f:
        json.dump(what, f, indent=1)
        f.write("\n")


def seeds(out):
    """The smallest files of each kind, for the fuzz targets to start from."""
    os.makedirs(out, exist_ok=True)
    rng = np.random.default_rng(7)
    old = [(m, k, getattr(m, k)) for m in (tiny, sys.modules[__name__])
           for k in "VPDLHF"]
    for m, k, _ in old:
        setattr(m, k, {"V": 3, "P": 2, "D": 2, "L": 1, "H": 1, "F": 2}[k])
    w = tiny.make_weights(rng)
    write_zip(os.path.join(out, "torch_zip.bin"), w)
    write_legacy(os.path.join(out, "torch_legacy.bin"), w)
    with open(os.path.join(out, "pickle.bin"), "wb") as f:
        f.write(pickled(state_dict(w, str)[0]) + pickle.dumps([1.5, None], 2))
    tiny.write(os.path.join(out, "safetensors.bin"), w, "F16")
    for packed in (False, True):
        prefix = os.path.join(out, f"tf_index{packed:d}")
        write_bundle(prefix, openai_names(w), packed=packed)
        os.rename(prefix + ".index", prefix + ".bin")
        os.unlink(prefix + ".data-00000-of-00001")
    meta = {"general.architecture": "gpt2", "gpt2.context_length": 2,
            "gpt2.embedding_length": 2, "gpt2.block_count": 1,
            "gpt2.attention.head_count": 1,
            "gpt2.attention.layer_norm_epsilon": 1e-5,
            "tokenizer.ggml.pre": "gpt-2", "tokenizer.ggml.eos_token_id": 0}
    bpe = {"tokenizer.ggml.model": "gpt2",
           "tokenizer.ggml.tokens": ["<|endoftext|>", "a", "b", "ab", "<u>"],
           "tokenizer.ggml.token_type": [3, 1, 1, 1, 4],
           "tokenizer.ggml.merges": ["a b"]}
    bert = {"tokenizer.ggml.model": "bert",
            "tokenizer.ggml.tokens": ["[PAD]", "[UNK]", "\u2581a", "b"]}
    t = {"token_embd.weight": (np.zeros((5, 32), np.float32), q8_0),
         "output_norm.bias": (np.zeros(32, np.float32), f32)}
    write_gguf(os.path.join(out, "gguf0.bin"), {**meta, **bpe}, t)
    write_gguf(os.path.join(out, "gguf1.bin"), {**meta, **bert}, {})
    for m, k, v in old:
        setattr(m, k, v)


def main(out):
    seeds(os.path.join(out, "..", "..", "fuzz", "seeds"))
    w = tiny.make_weights(np.random.default_rng(20190214))
    rng = np.random.default_rng(20191109)
    for d in ("zip", "legacy", "openai", "grover", "gpt1", "gguf"):
        os.makedirs(os.path.join(out, d), exist_ok=True)
    for d, how in (("zip", write_zip), ("legacy", write_legacy)):
        tiny.config(os.path.join(out, d, "config.json"))
        how(os.path.join(out, d, "pytorch_model.bin"), w)

    d = os.path.join(out, "openai")
    write_bundle(os.path.join(d, "model.ckpt"), openai_names(w), shards=2,
                 packed=True)
    put_json(os.path.join(d, "hparams.json"),
             {"n_vocab": V, "n_ctx": P, "n_embd": D, "n_head": H,
              "n_layer": L})
    with open(os.path.join(d, "checkpoint"), "w") as f:
        f.write('model_checkpoint_path: "/home/someone/model.ckpt"\n')
    letters = [chr(c) for c in range(97, 123)] + ["\u0120", "\u010a", ",", "."]
    merges = ["t h", "th e", "\u0120 the", "i n"]
    tokens = letters + [m.replace(" ", "") for m in merges] \
        + ["<|endoftext|>"]
    put_json(os.path.join(d, "encoder.json"),
             {t: i for i, t in enumerate(tokens)})
    with open(os.path.join(d, "vocab.bpe"), "w", encoding="utf-8") as f:
        f.write("#version: 0.2\n" + "\n".join(merges) + "\n")

    v, p, dim, ff, layers = 41, 32, 12, 20, 2
    ids = [7, 40, 1, 13, 22, 22, 9, 30, 2, 17]
    for net, heads in (("grover", 3), ("gpt1", 2)):
        w = block_weights(rng, v, p, dim, ff, layers, net == "grover")
        if net == "gpt1":
            w = block_weights(rng, v, p, dim, 4 * dim, layers, False)
        rows = forward(w, ids, net, heads)
        rows.astype("<f4").tofile(os.path.join(out, net + ".logits"))
        wrong_rows = []
        for mistake in ({"act": "gelu_new" if net == "grover" else "gelu"},
                        {"normalised": net == "grover"}, {"final": True},
                        {"swap": True}):
            wrong = forward(w, ids, net, heads, **mistake)
            assert np.abs(wrong - rows).max() > 4e-4, (net, mistake)
            wrong_rows.append(wrong)
        np.array(wrong_rows).astype("<f4").tofile(
            os.path.join(out, net + ".mistakes"))
        d = os.path.join(out, net)
        if net == "grover":
            write_bundle(os.path.join(d, "model.ckpt-7"),
                         grover_names(w, layers))
            put_json(os.path.join(d, "config.json"),
                     {"vocab_size": v, "hidden_size": dim,
                      "num_hidden_layers": layers,
                      "num_attention_heads": heads, "intermediate_size": ff,
                      "max_position_embeddings": p, "hidden_act": "gelu"})
        else:
            tiny.write(os.path.join(d, "model.safetensors"),
                       gpt1_names(w, layers), "F16")
            put_json(os.path.join(d, "config.json"),
                     {"afn": "gelu", "n_embd": dim, "n_head": heads,
                      "n_layer": layers, "n_positions": p, "n_ctx": p - 1,
                      "vocab_size": v})
    gguf_model(out, rng)


if __name__ == "__main__":
    main(sys.argv[1])
