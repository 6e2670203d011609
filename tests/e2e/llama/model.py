#!/usr/bin/env python3
"""usage: model.py OUT.gguf

Writes the scripted model for llama-server: a GGUF file of the "llama" kind
whose next token depends on the last one alone. Embeddings are one-hot,
attention and feed-forward are zero, and the output matrix is log P(next | last),
so it is a real forward pass with a known result. Each reply is a chain of
tokens that occur nowhere else, cut inside UTF-8 characters on purpose; the
chat template beside this file ends the prompt with the token that begins the
chain, chosen by words of the last message. Needs the standard library only;
the same file every time."""
import array
import math
import os
import random
import struct
import sys

TEMPLATE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "template.jinja")
CONTEXT_TOKENS = 8192
NEVER = -40.0  # log-probability
WIDTH_STEP = 32  # dimensions are a multiple of this

REPLIES = {
    "plain": "Hello! I am a tiny scripted model. 你好,世界!\nこんにちは 👩‍👩‍👧‍👦 ünïcödé.",
    "think": "<think>\nLet me ponder the question: 2+2.\n</think>\n\nThe answer is **4**.",
    "tool": '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Zürich", "unit": "celsius"}}\n</tool_call>',
    "tools2": '<tool_call>\n{"name":"get_weather","arguments":{"city":"Paris"}}\n</tool_call>\n'
              '<tool_call>\n{"name":"get_time","arguments":{"tz":"Europe/Berlin"}}\n</tool_call>',
    "result": "It is 21 °C in Zürich right now.",
    "json": '{"lang":"zh","text":"早上好"}',
    "code": '```c\n#include <stdio.h>\nint main(void) { puts("hi"); return 0; }\n```\n',
    "long": " ".join(f"word{i}" for i in range(400)) + ".",
}
WORDS = ("the quick brown fox jumps over the lazy dog and you are what is the weather in paris think about json tool user "
         "assistant system please write hello world this is a test of the tokenizer in the chat bot")
NORMAL, CONTROL = 1, 3


def byte_letters():
    """The byte alphabet of GPT-2: visible Latin-1 bytes stand for themselves,
    each other byte takes the next code point from U+0100 on."""
    table, spare = {}, 0x100
    for byte in range(256):
        if 0x21 <= byte <= 0x7E or 0xA1 <= byte <= 0xFF and byte != 0xAD:
            table[byte] = chr(byte)
        else:
            table[byte] = chr(spare)
            spare += 1
    return table


LETTERS = byte_letters()


def spelled(data):
    return "".join(LETTERS[byte] for byte in data)


class Vocabulary:
    def __init__(self):
        self.tokens, self.kinds, self.index, self.merges = [], [], {}, []

    def add(self, token, kind=NORMAL):
        if token not in self.index:
            self.index[token] = len(self.tokens)
            self.tokens.append(token)
            self.kinds.append(kind)
        return self.index[token]

    def learn_merges(self, words, rounds=120):
        """A little byte-pair encoding, so that prompts are made of more than bytes."""
        words = [[LETTERS[byte] for byte in b" " + word.encode()] for word in words.split()]
        for _ in range(rounds):
            pairs = {}
            for word in words:
                for pair in zip(word, word[1:]):
                    pairs[pair] = pairs.get(pair, 0) + 1
            if not pairs:
                break
            left, right = max(pairs, key=lambda pair: (pairs[pair], pair))
            self.merges.append(f"{left} {right}")
            self.add(left + right)
            words = [self.joined(word, left, right) for word in words]

    @staticmethod
    def joined(word, left, right):
        out, i = [], 0
        while i < len(word):
            both = word[i:i + 2] == [left, right]
            out.append(left + right if both else word[i])
            i += 2 if both else 1
        return out


def chain(vocabulary, follows, name, text, chance):
    """Adds the reply's tokens, each of which occurs nowhere else."""
    data, at = text.encode(), 0
    last = vocabulary.add(f"<|go_{name}|>", CONTROL)
    while at < len(data):
        size = chance.randint(3, 7)
        while at + size < len(data) and spelled(data[at:at + size]) in vocabulary.index:
            size += 1
        piece = data[at:at + size]
        while spelled(piece) in vocabulary.index:  # the last one: blanks make it another
            piece += b" "
        token = vocabulary.add(spelled(piece))
        follows[last] = [(token, 1.0)]
        last = token
        at += size
    follows[last] = [(vocabulary.index["<|im_end|>"], 1.0)]


def build():
    chance = random.Random(7)
    vocabulary, follows = Vocabulary(), {}
    for token in ("<|endoftext|>", "<|im_start|>", "<|im_end|>"):
        vocabulary.add(token, CONTROL)
    for byte in range(256):
        vocabulary.add(LETTERS[byte])
    vocabulary.learn_merges(WORDS)
    for name, text in REPLIES.items():
        chain(vocabulary, follows, name, text, chance)
    vocabulary.add("<|go_babble|>", CONTROL)
    while len(vocabulary.tokens) % WIDTH_STEP:
        vocabulary.add(f"<|pad_{len(vocabulary.tokens)}|>", CONTROL)
    return vocabulary, follows


def output_matrix(vocabulary, follows):
    index, size = vocabulary.index, len(vocabulary.tokens)
    babble = [(index[LETTERS[byte]], 1.0) for byte in b"abcdefghijklmnopqrstuvwxyz,"]
    babble += [(index[LETTERS[32]], 4.0), (index[LETTERS[34]], 6.0), (index[LETTERS[125]], 3.0), (index["<|im_end|>"], 0.3)]
    scale = math.sqrt(size)
    matrix = array.array("f", [NEVER / scale]) * (size * size)
    for last in range(size):
        row = follows.get(last, babble)
        total = sum(weight for _, weight in row)
        for token, weight in row:
            matrix[token * size + last] = math.log(weight / total) / scale
    return matrix


def tensors(vocabulary, follows):
    size, heads, hidden = len(vocabulary.tokens), 8, 32
    head = size // heads

    def zeros(*shape):
        return shape, array.array("f", [0.0]) * math.prod(shape)

    def ones(n):
        return (n,), array.array("f", [1.0]) * n

    one_hot = array.array("f", [0.0]) * (size * size)
    for token in range(size):
        one_hot[token * size + token] = 1.0
    yield "token_embd.weight", (size, size), one_hot
    yield ("output_norm.weight", *ones(size))
    yield "output.weight", (size, size), output_matrix(vocabulary, follows)
    for name, tensor in (("attn_norm", ones(size)), ("attn_q", zeros(size, size)), ("attn_k", zeros(size, head)),
                         ("attn_v", zeros(size, head)), ("attn_output", zeros(size, size)), ("ffn_norm", ones(size)),
                         ("ffn_gate", zeros(size, hidden)), ("ffn_up", zeros(size, hidden)),
                         ("ffn_down", zeros(hidden, size))):
        yield (f"blk.0.{name}.weight", *tensor)


# --- GGUF, version 3 ---
def text(value):
    value = value.encode()
    return struct.pack("<Q", len(value)) + value


def u32(value):
    return struct.pack("<II", 4, value)


def f32(value):
    return struct.pack("<If", 6, value)


def boolean(value):
    return struct.pack("<IB", 7, value)


def string(value):
    return struct.pack("<I", 8) + text(value)


def strings(values):
    return struct.pack("<IIQ", 9, 8, len(values)) + b"".join(text(value) for value in values)


def ints(values):
    return struct.pack("<IIQ", 9, 5, len(values)) + struct.pack(f"<{len(values)}i", *values)


def metadata(vocabulary):
    size = len(vocabulary.tokens)
    with open(TEMPLATE, encoding="utf-8") as f:
        template = f.read()
    return {
        "general.architecture": string("llama"), "general.name": string("tiny-scripted"), "general.file_type": u32(0),
        "llama.context_length": u32(CONTEXT_TOKENS), "llama.embedding_length": u32(size), "llama.block_count": u32(1),
        "llama.feed_forward_length": u32(32), "llama.attention.head_count": u32(8), "llama.attention.head_count_kv": u32(1),
        "llama.rope.dimension_count": u32(size // 8), "llama.vocab_size": u32(size),
        "llama.attention.layer_norm_rms_epsilon": f32(1e-6),
        "tokenizer.ggml.model": string("gpt2"), "tokenizer.ggml.pre": string("gpt-2"),
        "tokenizer.ggml.tokens": strings(vocabulary.tokens), "tokenizer.ggml.token_type": ints(vocabulary.kinds),
        "tokenizer.ggml.merges": strings(vocabulary.merges),
        "tokenizer.ggml.bos_token_id": u32(vocabulary.index["<|endoftext|>"]),
        "tokenizer.ggml.eos_token_id": u32(vocabulary.index["<|im_end|>"]),
        "tokenizer.ggml.add_bos_token": boolean(0), "tokenizer.chat_template": string(template),
    }


def write(path):
    vocabulary, follows = build()
    facts = metadata(vocabulary)
    parts = list(tensors(vocabulary, follows))
    with open(path, "wb") as f:
        f.write(b"GGUF" + struct.pack("<IQQ", 3, len(parts), len(facts)))
        for key, value in facts.items():
            f.write(text(key) + value)
        offset = 0
        for name, shape, data in parts:
            f.write(text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, 0, offset))
            offset += (len(data) * 4 + 31) // 32 * 32
        f.write(b"\0" * (-f.tell() % 32))
        for _, _, data in parts:
            f.write(data.tobytes() + b"\0" * (-len(data) * 4 % 32))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__.splitlines()[0])
    write(sys.argv[1])
