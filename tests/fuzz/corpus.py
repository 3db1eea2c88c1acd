#!/usr/bin/env python3
"""tests/fuzz/corpus.py OUT: a folder of seeds for every fuzz target.

From tests/fuzz/found (what once broke a target), tests/fuzz/seeds (written by
tools/make_foreign_models.py) and the small models and vocabularies of
tests/data; nothing large is kept in the project.
"""
import glob
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
DATA = os.path.join(os.path.dirname(HERE), "data")
LIMIT = 16384


def read(path):
    with open(path, "rb") as f:
        return f.read()


def joined(*paths):
    """Files of one input, a byte of 0 between them."""
    return b"\0".join(read(p) if os.path.exists(p) else b"" for p in paths)


def gather():
    for path in glob.glob(os.path.join(HERE, "seeds", "*.bin")):
        name = os.path.basename(path)[:-4].rstrip("01")
        yield name, read(path)
    for path in glob.glob(os.path.join(HERE, "found", "*")):
        yield os.path.basename(path).split("-")[0], read(path)  # once broke it
    for path in glob.glob(os.path.join(DATA, "models", "*", "*.index")):
        yield "tf_index", read(path)
    for path in glob.glob(os.path.join(DATA, "models", "*",
                                       "model.safetensors")):
        yield "safetensors", read(path)[:LIMIT]
    for path in glob.glob(os.path.join(DATA, "models", "*", "config.json")):
        yield "config", read(path)
    yield "config", (b'{"n_head":2,"bos_token_id":[1,2],"task_specific_params'
                     b'":{"a":null}}\0{"eos_token_id":3,"temperature":0.5}')
    for d in sorted(glob.glob(os.path.join(DATA, "vocab", "*"))) + \
            [os.path.join(DATA, "models", "f32")]:
        j = lambda n: os.path.join(d, n)
        if os.path.exists(j("vocab.txt")):
            yield "vocab", joined(j("vocab.txt"), j("tokenizer_config.json"))
        if os.path.exists(j("vocab.json")):
            yield "merges", joined(j("vocab.json"), j("merges.txt"),
                                   j("added_tokens.json"))
        if d.endswith(".json"):
            yield "tokenizer_json", read(d)
    yield "vocab", ("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n##b\n中\n\0"
                    '{"do_lower_case":false,"never_split":["a"],'
                    '"added_tokens_decoder":{"5":{"content":"x","special":'
                    'true}},"jielong":{"begin":"[CLS]"}}').encode()
    yield "merges", ('{"a":0,"b":1,"ab":2,"\u0120":3,"<|endoftext|>":4}\0'
                     "#version: 0.2\na b\n\0" '{"<u>":5}').encode()


def main(out):
    n = {}
    for target, data in gather():
        if len(data) > LIMIT:
            continue
        d = os.path.join(out, target)
        os.makedirs(d, exist_ok=True)
        n[target] = n.get(target, 0) + 1
        with open(os.path.join(d, f"seed{n[target]:03}"), "wb") as f:
            f.write(data)


if __name__ == "__main__":
    main(sys.argv[1])
