#!/usr/bin/env python3
"""Small vocabularies for the tests, and what a slow tokenizer makes of them.

    tests/data/make_vocab.py            writes tests/data/vocab/
    tests/data/make_vocab.py --check    also compares with the libraries
                                        `tokenizers` and `regex`

The reference below is written for reading, not for speed: rule by rule after
the originals (google-research/bert tokenization.py, transformers
BertTokenizer, openai/gpt-2 encoder.py), with Python's own Unicode tables. It
shares nothing with the C code. Characters that Unicode 14 does not know are
not used.
"""
import json
import os
import random
import sys
import unicodedata as ud

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "vocab")
TEXT = """渡口的老人说，今天的船不会来了。他把灯笼挂在木桩上，看着河面上的雾。
“你等谁？”我问。他笑了笑，没有回答，只把烟斗在鞋底上敲了三下。
那一年的雪下得很早，山上的路都封了，我们在村子里住了整整一个冬天。
The ferryman said that there would be no boat today. He hung the lantern on
the post and watched the fog. "Who are you waiting for?" I asked; he didn't
answer, he'd only smiled. It's 3.14, isn't it? They've 12,000 lanterns.
人生若只如初见，何事秋风悲画扇。等闲变却故人心，却道故人心易变。
"""

# --- WordPiece ---

WORDS = """the he no it is was and on that who you i we they fog boat post lamp
lantern ferry man said be would there today hung watch for are wait don didn
iphone http www com strasse istanbul""".split()
PIECES = "ing ed er s t ly n man en d 12 14 000 phone".split()


def wordpiece_vocab(cased):
    out = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]",
           "[unused1]", "[unused2]", "[unused_3]"]
    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)]
    if cased:
        letters += [chr(c) for c in range(ord("A"), ord("Z") + 1)]
        letters += list("éÅßñ")
    letters += list("0123456789")
    out += letters + ["##" + x for x in letters]
    out += [chr(c) for c in range(33, 127)
            if ud.category(chr(c))[0] in "PS"]
    out += list("，。？！、：；“”（）《》—·")  # no ‘ ’ …
    out += sorted({c for c in TEXT if "\u4e00" <= c <= "\u9fff"})
    out += ["##" + c for c in "人心风"]
    out += ["\u2028"]
    out += list("かはつσςаяㅎ") + ["##" + c for c in "かはつσςаяß"]
    out += ["\u1112", "\u1161", "\u11ab", "##\u1112", "##\u1161", "##\u11ab",
            "##\u1100", "##\u116e", "##\u11a8"]
    out += ["한", "##국", "ß"] if cased else ["ß"]
    out += WORDS + (["The", "He", "It"] if cased else [])
    out += ["##" + x for x in PIECES]
    seen, uniq = set(), []
    for x in out:
        if x not in seen:
            uniq.append(x)
        seen.add(x)
    return uniq


def is_han(c):
    o = ord(c)
    return any(a <= o <= b for a, b in (
        (0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF),
        (0x2A700, 0x2B73F), (0x2B740, 0x2B81F), (0x2B820, 0x2CEAF),
        (0xF900, 0xFAFF), (0x2F800, 0x2FA1F)))


def is_punct(c):
    o = ord(c)
    return (33 <= o <= 47 or 58 <= o <= 64 or 91 <= o <= 96 or
            123 <= o <= 126 or ud.category(c)[0] == "P")


def basic(text, lower, google):
    clean = []
    for c in text:
        cat = ud.category(c)
        if c in "\t\n\r" or cat == "Zs":
            clean.append(" ")
        elif c in "\0\ufffd" or (cat in ("Cc", "Cf") if google
                                 else cat[0] == "C"):
            pass
        elif is_han(c):
            clean.append(" " + c + " ")
        else:
            clean.append(c)
    words = []
    for word in "".join(clean).split():
        if lower:
            word = word.lower() if google else "".join(
                c.lower() for c in word)
            word = "".join(c for c in ud.normalize("NFD", word)
                           if ud.category(c) != "Mn")
        current = ""
        for c in word:
            if is_punct(c):
                words += [current, c]
                current = ""
            else:
                current += c
        words.append(current)
    # an accent may have become white space or nothing
    return " ".join(words).split()


def wordpiece(vocab, words, limit):
    ids = []
    for w in words:
        got, at = [], 0
        while at < len(w) and len(w) <= limit:
            for end in range(len(w), at, -1):
                piece = ("##" if at else "") + w[at:end]
                if piece in vocab:
                    break
            else:
                got = []
                break
            got.append(vocab[piece])
            at = end
        ids += got or [vocab["[UNK]"]]
    return ids


# --- byte-level BPE ---

def byte_alphabet():
    keep = [*range(33, 127), *range(161, 173), *range(174, 256)]
    other = [b for b in range(256) if b not in keep]
    return {**{b: chr(b) for b in keep},
            **{b: chr(256 + i) for i, b in enumerate(other)}}


WHITE = set(map(chr, [*range(9, 14), 32, 0x85, 0xA0, 0x1680,
                      *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F,
                      0x3000]))


def kind(c):
    if c in WHITE:
        return "W"
    cat = ud.category(c)[0]
    return cat if cat in "LN" else "O"


def pieces(text):
    """Alternative by alternative, each tried at each place."""
    out, i = [], 0
    while i < len(text):
        for end in ("'s", "'t", "'re", "'ve", "'m", "'ll", "'d"):
            if text.startswith(end, i):
                n = len(end)
                break
        else:
            n = 0
            for want in "LNO":
                k = i + (text[i] == " ")
                m = k
                while m < len(text) and kind(text[m]) == want:
                    m += 1
                if m > k:
                    n = m - i
                    break
            if not n:
                m = i
                while m < len(text) and kind(text[m]) == "W":
                    m += 1
                n = m - i
                if m < len(text) and n > 1:
                    n -= 1
        out.append(text[i:i + n])
        i += n
    return out


def merge(symbols, ranks):
    symbols = list(symbols)
    while True:
        pairs = [(ranks.get(p, 1 << 30), p)
                 for p in zip(symbols, symbols[1:])]
        best = min(pairs, default=(1 << 30, None), key=lambda x: x[0])
        if best[0] == 1 << 30:
            return symbols
        out, i = [], 0
        while i < len(symbols):
            if tuple(symbols[i:i + 2]) == best[1]:
                out.append(symbols[i] + symbols[i + 1])
                i += 2
            else:
                out.append(symbols[i])
                i += 1
        symbols = out


def bpe(vocab, ranks, text):
    table = byte_alphabet()
    ids = []
    for p in pieces(text):
        ids += [vocab[s] for s in
                merge([table[b] for b in p.encode()], ranks)]
    return ids


def train_bpe(n_merges):
    table = byte_alphabet()
    words = [[table[b] for b in p.encode()] for p in pieces(TEXT * 2)]
    merges = []
    for _ in range(n_merges):
        count = {}
        for w in words:
            for p in zip(w, w[1:]):
                count[p] = count.get(p, 0) + 1
        best = max(sorted(count), key=count.get)
        merges.append(best)
        words = [merge(w, {best: 0}) for w in words]
    vocab = {"<|endoftext|>": 0}
    for c in sorted(table.values()):
        vocab[c] = len(vocab)
    for a, b in merges:
        vocab.setdefault(a + b, len(vocab))
    return vocab, merges


# --- strings ---

HAND = [
    "", " ", "\n", "我有一个朋友", "渡口的老人说，今天的船不会来了。",
    "“你等谁？”我问。", "The ferryman didn't wait, he'd said.",
    "THE FOG And The LANTERNS", "iphone12pro 3.14159 1,000", "don't  stop",
    "x\n\n y", "a \n b", "don'T", "1２Ⅷ½", "e\u0301", "é", "Å", "İstanbul",
    "ΑΣ ΑΣΑ Σ ας.", "straße STRASSE", "がぱガパ", "한국 한", "가각", "豈更",
    "\u00ad soft\u00adhyphen", "zero\u200bwidth\u200d", "\ufeffbom",
    "tab\tcr\rlf\nff\x0cvt\x0b", "\x85nel", "a\u2028b\u2029c", "a\u3000b",
    "～＋★①½", "（全角）ＡＢＣ１２３", "𠀀𫠝𬺰", "😀👩‍🌾❤️", "\u1fef\u037e",
    "\ue000\uf8ff", "[CLS] [SEP] [MASK] [UNK] [PAD]", "<|endoftext|>",
    "the" * 33 + "n", "the" * 34, "a" * 100, "a" * 101, "a" * 200, "a" * 201,
    "人" * 150, "##ing ing##", "q\u0323\u0307 q\u0307\u0323", "i\u0301" * 60,
    "   leading and trailing   ", "'s't're've'm'll'd", "''s", " 's", "'",
    "12人34", "http://www.example.com/a", "He said: \"go\" at 12:30.",
    "\t\t\tx", "x   ", "　　段落", "a\u00a0b", "§±×÷", "ab\u0300c", "ⅷⅨ",
    "\u0e01\u0e33 \u0915\u094d\u0937", "\u0301\u0301", "ﬁ㎏㈱", "ǅ ǆ Ǆ",
]


def strings():
    rnd = random.Random(20)
    out = list(HAND)
    alphabet = list(TEXT) + list("  \n'\",.!?-éÅΣσßがн한１Ⅷ“”—…～\u00ad\u3000"
                                 "\u200b\u0301\u0323ABCDXYZ0123456789")
    for _ in range(140):
        out.append("".join(rnd.choice(alphabet)
                           for _ in range(rnd.randint(1, 40))))
    for _ in range(60):
        a = rnd.randrange(len(TEXT) - 60)
        out.append(TEXT[a:a + rnd.randint(5, 60)])
    return out


# --- writing ---

def write(name, text):
    path = os.path.join(HERE, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8", newline="") as f:
        f.write(text)


def dump(x):
    return json.dumps(x, ensure_ascii=True, separators=(",", ":"))


def added(i, text, **flags):
    base = {"id": i, "content": text, "single_word": False, "lstrip": False,
            "rstrip": False, "normalized": False, "special": False}
    return {**base, **flags}


def tokenizer_jsons(lower, vocab, merges):
    bert = {
        "version": "1.0",
        "added_tokens": [added(i, t, special=True) for i, t in
                         enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]",
                                    "[MASK]"])] +
                        [added(len(lower), "Ferry One", normalized=True)],
        "normalizer": {"type": "BertNormalizer", "clean_text": True,
                       "handle_chinese_chars": True, "strip_accents": None,
                       "lowercase": True},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "model": {"type": "WordPiece", "unk_token": "[UNK]",
                  "continuing_subword_prefix": "##",
                  "max_input_chars_per_word": 100, "vocab": lower},
    }
    bytes_ = {
        "version": "1.0",
        "added_tokens": [
            added(0, "<|endoftext|>", special=True),
            added(len(vocab), "<user>", lstrip=True, rstrip=True),
            added(len(vocab) + 1, "boat", single_word=True)],
        "normalizer": None,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": True,
                          "trim_offsets": True, "use_regex": True},
        "decoder": {"type": "ByteLevel"},
        "model": {"type": "BPE", "unk_token": None, "vocab": vocab,
                  "merges": [list(m) for m in merges]},
    }
    return bert, bytes_


def check(lower, vocab, merges, rows, texts):
    import regex
    import tokenizers
    pat = regex.compile(r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+"
                        r"| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+")
    for t in texts:
        # regex's own \s also holds U+001C..1F
        assert pat.findall(t) == pieces(t), t
    tok = tokenizers.Tokenizer(tokenizers.models.BPE(
        vocab=vocab, merges=[tuple(m) for m in merges]))
    tok.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(
        add_prefix_space=False)
    bert = tokenizers.BertWordPieceTokenizer(vocab=lower, lowercase=True)
    differ = []
    for t, r in zip(texts, rows):
        assert tok.encode(t).ids == r["bpe"], t
        fast = bert.encode(t, add_special_tokens=False).ids
        if fast != r["lower"] and "[" not in t:
            differ.append(t)
    print(f"tokenizers {tokenizers.__version__}: {len(texts)} strings; "
          f"WordPiece differs on {differ} (documented: older tables)")


def main():
    lower_list, cased_list = wordpiece_vocab(False), wordpiece_vocab(True)
    lower = {t: i for i, t in enumerate(lower_list)}
    cased = {t: i for i, t in enumerate(cased_list)}
    vocab, merges = train_bpe(160)
    ranks = {m: i for i, m in enumerate(merges)}
    write("lower/vocab.txt", "\n".join(lower_list) + "\n")
    write("cased/vocab.txt", "\n".join(cased_list) + "\n")
    write("cased/tokenizer_config.json", dump({"do_lower_case": False}) + "\n")
    write("bpe/vocab.json", dump(vocab) + "\n")
    write("bpe/merges.txt", "#version: 0.2\n" +
          "".join(f"{a} {b}\n" for a, b in merges))
    texts = strings()
    rows = [{"t": t,
             "lower": wordpiece(lower, basic(t, True, False), 100),
             "cased": wordpiece(cased, basic(t, False, False), 100),
             "google": wordpiece(lower, basic(t, True, True), 200),
             "bpe": bpe(vocab, ranks, t)} for t in texts]
    write("rows.jsonl", "".join(dump(r) + "\n" for r in rows))
    bert, bytes_ = tokenizer_jsons(lower, vocab, merges)
    write("wordpiece.json", dump(bert) + "\n")
    write("bytelevel.json", dump(bytes_) + "\n")
    if "--check" in sys.argv:
        check(lower, vocab, merges, rows, texts)


main()
