"""Token counts beside those of OpenAI's own tiktoken (npm): not one may differ.
Samples: our corpus of real sentences, this repository's code and pages, mixtures
of them, and Unicode at random, from a seed."""
import json
import os
import pathlib
import random
import runpy
import subprocess
import unicodedata

import pytest

from counterparts import ROOT, fetch

TIKTOKEN = "node_modules/tiktoken"
CORPUS = ROOT / "tests/data/tokens/corpus.tsv"
ENCODINGS = ("o200k_base", "cl100k_base")
COUNTER = pathlib.Path(os.environ.get("WARBLER_BIN", "build/asan/warbler")).parent / "tests/tools/count_tokens"
SEED = 20260311
SAMPLES_MIN = 20000
SAMPLE_CHARS_MAX = 900  # like messages, and far from a run that is counted in parts
REFERENCE = """
const { get_encoding } = require(process.argv[1]);
const samples = JSON.parse(require("fs").readFileSync(0, "utf8"));
const encoding = get_encoding(process.argv[2]);
process.stdout.write(JSON.stringify(samples.map((s) => encoding.encode(s, [], []).length)));
"""


@pytest.fixture(name="npm", scope="module")
def fetched():
    return fetch("npm")


@pytest.fixture(name="vocabulary", params=ENCODINGS)
def made_vocabulary(request, npm, tmp_path):
    """(encoding, file) as the script makes it."""
    file = tmp_path / "made.vocab"
    subprocess.run([ROOT / "config/make-vocabulary", npm / TIKTOKEN / "encoders", request.param, file], check=True)
    return request.param, file


def reference(npm, encoding, samples):
    done = subprocess.run([npm / "node", "-e", REFERENCE, npm / TIKTOKEN / "tiktoken.cjs", encoding],
                          input=json.dumps(samples).encode(), stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def ours(file, samples):
    """(exact count, estimate) of each."""
    data = [sample.encode() for sample in samples]
    done = subprocess.run([COUNTER, file], input=b"".join(b"%d\n%s" % (len(d), d) for d in data), stdout=subprocess.PIPE,
                          check=True)
    counts = [tuple(map(int, line.split())) for line in done.stdout.splitlines()]
    assert len(counts) == len(samples)
    return counts


def corpus():
    """(language, tokens by encoding, text) of each line; \\n and \\\\ are written out in it."""
    for line in CORPUS.read_text(encoding="utf-8").splitlines():
        language, o200k, cl100k, text = line.split("\t", 3)
        text = text.replace("\\\\", "\0").replace("\\n", "\n").replace("\0", "\\")
        yield language, dict(zip(ENCODINGS, (int(o200k), int(cl100k)))), text


# --- samples ---
def repository():
    """Code, pages and scripts of this repository, in parts as long as messages."""
    rng = random.Random(SEED)
    for pattern in ("plugin/**/*.[ch]", "config/*.[ch]", "adapters/**/*.*", "*.md", "plugin/*.md", "tests/e2e/*.py",
                    "config/warbler*", "Makefile"):
        for file in sorted(ROOT.glob(pattern)):
            if not file.is_file():
                continue
            text, at = file.read_text(encoding="utf-8"), 0
            while at < len(text):
                size = rng.randint(20, SAMPLE_CHARS_MAX)
                yield text[at:at + size]
                at += size


def assigned():
    """Every code point that is a character already in the oldest Unicode around: Python's here is never newer than
    that of utf8proc and tiktoken."""
    return [c for c in map(chr, [*range(0xD800), *range(0xE000, 0x110000)]) if unicodedata.category(c) not in ("Cn", "Co")]


def mixtures(texts, n):
    """Sentences, or parts of them, put together with what people put between them."""
    rng = random.Random(SEED + 1)
    glue = [" ", "\n", "\n\n", "", "  ", "\t", " \n ", "...", "!!! ", " — ", "，", "。", "\u3000", "\u00a0", "'s ", "'LL", " 12345", "://",
            "😀", "👩\u200d🚀", "\r\n", "e\u0301", "\u200f", "_", "/"]
    for _ in range(n):
        parts = []
        for _ in range(rng.randint(1, 6)):
            text = rng.choice(texts)
            a, b = sorted((rng.randint(0, len(text)), rng.randint(0, len(text))))
            parts += [rng.choice((text, text[a:b], text[a:b].upper(), text[a:b].title())), rng.choice(glue)]
        yield "".join(parts)[:SAMPLE_CHARS_MAX]


def random_unicode(n):
    rng = random.Random(SEED + 2)
    everything = assigned()
    ascii_text = [chr(c) for c in range(128)]
    blanks = list(" \t\n\r\u00a0\u3000\u2028'")
    for i in range(n):
        # Neighbours in the tables are of one script: words of it, and what stands between words.
        start = rng.randrange(len(everything) - 64)
        script = everything[start:start + 64]
        pools = [everything, ascii_text, blanks, script][i % 4:] + [script]
        yield "".join(rng.choice(rng.choice(pools)) for _ in range(rng.randint(1, 120)))


def all_samples():
    sentences = [text for _, _, text in corpus()]
    samples = [*sentences, *repository(), *assigned_in_rows(), *mixtures(sentences, 12000), *random_unicode(8000)]
    return [sample for sample in samples if sample]


def assigned_in_rows():
    """Each character there is, beside a letter and a sign, so that each shows its class."""
    characters = assigned()
    for at in range(0, len(characters), 100):
        row = characters[at:at + 100]
        yield "".join(f"a{c}B" for c in row)
        yield "".join(f"{c} {c}1." for c in row)


# --- tests ---
@pytest.mark.slow
def test_not_one_count_differs(npm, vocabulary):
    encoding, file = vocabulary
    samples = all_samples()
    assert len(samples) >= SAMPLES_MIN
    wanted = reference(npm, encoding, samples)
    got = [exact for exact, _ in ours(file, samples)]
    wrong = [(s, g, w) for s, g, w in zip(samples, got, wanted) if g != w]
    print(f"{encoding}: {len(samples)} samples, {sum(wanted)} tokens, {len(wrong)} mismatches")
    assert not wrong, wrong[:5]


@pytest.mark.slow
def test_the_numbers_of_the_corpus_are_tiktokens(npm):
    lines = list(corpus())
    for encoding in ENCODINGS:
        assert [counts[encoding] for _, counts, _ in lines] == reference(npm, encoding, [text for _, _, text in lines])


@pytest.mark.slow
def test_long_runs_are_counted_in_parts(npm, vocabulary):
    """Where a run without a break is cut, the count may be off by a token or two for each cut."""
    encoding, file = vocabulary
    samples = ["a" * 4096, "x" * 30000, "好" * 9000, "!?" * 10000, "\u02b0A" * 5000]
    for sample, want, (got, _) in zip(samples, reference(npm, encoding, samples), ours(file, samples)):
        cuts = (len(sample.encode()) - 1) // 4096
        assert abs(got - want) <= 2 * cuts, (sample[:10], got, want)


@pytest.mark.slow
def test_the_estimate_is_near(vocabulary):
    """By script, without any vocabulary, against o200k_base, for which it was fitted: a message in the mean, and all of them."""
    encoding, file = vocabulary
    lines = list(corpus())
    pairs = [(counts[encoding], estimate) for (_, counts, text), (_, estimate) in zip(lines, ours(file, [t for _, _, t in lines]))]
    mean = sum(abs(estimate - real) / real for real, estimate in pairs) / len(pairs)
    total = sum(estimate for _, estimate in pairs) / sum(real for real, _ in pairs) - 1
    print(f"{encoding}: mean error of a message {mean:.1%}, of all {total:+.1%}")
    if encoding == "o200k_base":
        assert mean < 0.13 and abs(total) < 0.10


@pytest.mark.parametrize("arguments, says", [
    ([], "npm pack tiktoken"),
    (["folder", "p50k_base", "out"], "usage: "),
    (["nowhere", "o200k_base", "out"], "No such file"),
    (["bad", "o200k_base", "out"], "cannot be used"),
    (["other", "cl100k_base", "out"], "its expression is another one"),
    (["gap", "o200k_base", "out"], "ranks are missing"),
])
def test_the_script_says_what_is_wrong(tmp_path, arguments, says):
    expression = runpy.run_path(str(ROOT / "config/make-vocabulary"))["ENCODINGS"]["o200k_base"]
    for name, content in (("bad", "{]"), ("other", json.dumps({"pat_str": "x", "bpe_ranks": "! 0 IQ=="})),
                          ("gap", json.dumps({"pat_str": expression, "bpe_ranks": "! 1 IQ=="}))):
        (tmp_path / name).mkdir()
        for encoding in ENCODINGS:
            (tmp_path / name / f"{encoding}.json").write_text(content)
    done = subprocess.run([ROOT / "config/make-vocabulary", *arguments], cwd=tmp_path, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1 and says in done.stderr and not done.stdout
    assert not (tmp_path / "out").exists()
