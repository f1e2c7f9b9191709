#!/usr/bin/env python3
"""Holds the documentation against the tree and against the program.

    check-docs.py lint             links, anchors, code references, prose
    check-docs.py run [PAGE...]    runs the shell blocks of README.md and docs/guide

`run` takes the program from $HINTDEX, or else from $CARGO_TARGET_DIR/release/hintdex.

Marks that a page may put behind the language of a fence:

    ```sh skip          shown, never run: it installs something, or it does not end
    ```sh fails           has to end with an exit status that is not 0
    ```text output        is what the block before printed; `…` stands for anything
    ```text output-shape  the same, whatever the numbers are

A link to a source file whose text is one code span is a code reference: the file must
define the item that the span names. A code span with a slash that ends like a file name
must be the end of the path of a file of the repository.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MOST_WORDS = 40
BLOCK_TIMEOUT_S = 120
SOURCES = (".rs", ".py", ".sh", ".toml", ".md", ".svg", ".json")

# Riddle words and what to write in their place. Whole words, in any case.
BANNED = {
    "strangers": "unknown hints",
    "stranger": "an unknown hint",
    "remembered": "cached, or stored in the negative cache or the replay window",
    "remembers": "caches, or stores",
    "upkeep": "maintenance",
    "told": "reported",
    "says": "reports, states or shows",
    "anew": "again, with the verb rebuild or start",
    "foretell": "estimate or predict",
    "foretells": "estimates or predicts",
    "no news": "redundant, adds nothing",
    "tell time": "clocked nonces",
    "tells time": "clocked",
    "tell their nonce": "reversible hints",
    "tells its nonce": "a reversible hint",
    "nobody": "no device, no process or no packet",
    "nobody's": "of no device",
    "somebody": "another process, an attacker or an operator",
    "anybody": "any sender or any process",
    "everybody": "every device",
    "everybody's": "of every device",
    "whoever": "the process or the caller that",
    "by turns": "alternately",
    "the dear one": "the expensive one",
    "is at hand": "is available",
}


# --- Markdown -----------------------------------------------------------------------

FENCE = re.compile(r"^(\s*)(`{3,}|~{3,})\s*(.*?)\s*$")


class Block:
    """A fenced block: where it begins, the words of its info string, its lines."""

    def __init__(self, line, info, lines):
        self.line, self.words, self.lines = line, info.split(), lines

    @property
    def text(self):
        return "".join(line + "\n" for line in self.lines)


def split_page(text):
    """The lines outside of fences, with their numbers, and the fenced blocks."""
    prose, blocks, fence = [], [], None
    for number, line in enumerate(text.split("\n"), 1):
        match = FENCE.match(line)
        if fence is None and match:
            fence = (match[2], number, match[3], [])
        elif fence is not None and match and match[2].startswith(fence[0]) and not match[3]:
            blocks.append(Block(*fence[1:]))
            fence = None
        elif fence is not None:
            fence[3].append(line)
        else:
            prose.append((number, line))
    if fence is not None:
        raise SystemExit(f"a fence that begins in line {fence[1]} does not end")
    return prose, blocks


def slugs(prose):
    """The anchors of a page's headings, as GitHub makes them."""
    seen, found = {}, set()
    for _, line in prose:
        match = re.match(r"^#{1,6}\s+(.*?)\s*#*$", line)
        if not match:
            continue
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", match[1]).replace("`", "")
        slug = re.sub(r"[^\w\- ]", "", text.strip().lower()).replace(" ", "-")
        count = seen.get(slug, 0)
        seen[slug] = count + 1
        found.add(slug if count == 0 else f"{slug}-{count}")
    return found


def git_files(*patterns):
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *patterns],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout
    return sorted(name for name in names.split("\0") if name and (ROOT / name).exists())


# --- Links and code references -------------------------------------------------------

LINK = re.compile(r"!?\[((?:[^\[\]`]|`[^`]*`|\[[^\]]*\])*)\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
HTML_LINK = re.compile(r"<(?:img|a|source)\b[^>]*?\b(?:src|href|srcset)=\"([^\"]+)\"")
CODE_SPAN = re.compile(r"(`+)(.+?)\1")


def defines(text, item):
    """Whether a source defines the last part of a path like `Station::decode_batch`."""
    name = re.sub(r"[<(!].*$", "", item).split("::")[-1].strip()
    if not re.fullmatch(r"[A-Za-z_]\w*", name):
        return False
    word = re.escape(name)
    kinds = r"fn|struct|enum|union|trait|const|static|type|mod|macro_rules!|def|class"
    if re.search(rf"\b(?:{kinds})\s+{word}\b", text):
        return True
    # A variant of an enum or a field.
    return re.search(rf"^\s+(?:pub(?:\([a-z]+\))? )?{word}\s*(?:[,({{=:]|$)", text, re.M) is not None


def check_links(pages, files):
    problems = []
    anchors = {name: slugs(prose) for name, (prose, _) in pages.items()}
    known = set(files)
    for name, (prose, _) in pages.items():
        folder = (ROOT / name).parent
        text = "\n".join(line for _, line in prose)
        starts = [0]
        for _, line in prose:
            starts.append(starts[-1] + len(line) + 1)

        def place(offset):
            index = next(i for i in range(len(prose)) if starts[i + 1] > offset)
            return f"{name}:{prose[index][0]}"

        # Code spans are no links, but a link's text may be one.
        masked = CODE_SPAN.sub(
            lambda span: span[0] if text[span.end():span.end() + 2] == "](" else "·" * len(span[0]), text)
        links = [(link.start(), link[1], link[2]) for link in LINK.finditer(masked)]
        links += [(link.start(), "", link[1]) for link in HTML_LINK.finditer(masked)]
        for offset, label, target in links:
            if re.match(r"[a-z][a-z0-9+.-]*:", target):
                continue
            path, _, anchor = target.partition("#")
            there = (folder / path).resolve() if path else (ROOT / name)
            if not there.exists() or not there.is_relative_to(ROOT):
                problems.append(f"{place(offset)}: no file {target}")
                continue
            page = there.relative_to(ROOT).as_posix()
            if anchor and page in anchors and anchor not in anchors[page]:
                problems.append(f"{place(offset)}: {page} has no heading #{anchor}")
            span = re.fullmatch(r"`([^`]+)`", label.strip())
            if span and there.suffix in (".rs", ".py") and not span[1].endswith((".rs", ".py", "/")):
                if not defines(there.read_text(encoding="utf-8"), span[1]):
                    problems.append(f"{place(offset)}: {page} does not define {span[1]}")
        for span in CODE_SPAN.finditer(text):
            words = span[2].strip()
            if re.fullmatch(r"[\w.\-]+(?:/[\w.\-]+)+", words) and words.endswith(SOURCES):
                if not any(file == words or file.endswith("/" + words) for file in known):
                    problems.append(f"{place(span.start())}: no file of the repository ends in {words}")
    return problems


# --- Prose ----------------------------------------------------------------------------

def paragraphs(prose):
    """Runs of lines that are one paragraph or list item, with the line each begins in."""
    found, lines, begin = [], [], 0

    def flush():
        if lines:
            found.append((begin, " ".join(lines)))
            lines.clear()

    for number, line in prose:
        text = line.strip()
        if not text or text.startswith("|") or re.match(r"^(#{1,6}\s|>|<|={3,}$|-{3,}$|!\[)", text):
            flush()
            continue
        if re.match(r"^([-*+]|\d+\.)\s", text):
            flush()
            text = re.sub(r"^([-*+]|\d+\.)\s+", "", text)
        if not lines:
            begin = number
        lines.append(text)
    flush()
    return found


def plain(text):
    """A paragraph without its marks: a code span or a link's target is no prose."""
    text = CODE_SPAN.sub(" code ", text)
    text = LINK.sub(lambda link: f" {link[1]} ", text)
    text = re.sub(r"<[^>]+>|[*_]{1,3}", "", text)
    return re.sub(r"\b(e\.g|i\.e|et al|vs|cf|approx)\.", r"\1", text)


def sentences(text, ends=".?!"):
    return [part for part in re.split(rf"(?<=[{ends}])[\"')\]]*\s+", text) if part.strip()]


def check_prose(pages):
    problems = []
    banned = [(re.compile(rf"(?<![\w'-]){re.escape(word)}(?![\w'-])", re.I), word, instead)
              for word, instead in BANNED.items()]
    for name, (prose, _) in pages.items():
        if not (name == "README.md" or name == "CHANGELOG.md" or name.startswith("docs/")):
            continue
        for number, line in prose:
            text = plain(line)
            for pattern, word, instead in banned:
                if pattern.search(text):
                    problems.append(f"{name}:{number}: \"{word}\": write {instead}")
        # The benches write the conditions of a run as a list with semicolons.
        ends = ".?!;" if name.startswith("docs/results/") else ".?!"
        for number, paragraph in paragraphs(prose):
            for sentence in sentences(plain(paragraph), ends):
                words = [word for word in sentence.split() if re.search(r"\w", word)]
                if len(words) > MOST_WORDS:
                    head = " ".join(words[:8])
                    problems.append(
                        f"{name}:{number}: a sentence of {len(words)} words, at most {MOST_WORDS}: {head} …")
    return problems


def lint():
    files = git_files()
    pages = {}
    for name in files:
        if name.endswith(".md"):
            try:
                pages[name] = split_page((ROOT / name).read_text(encoding="utf-8"))
            except SystemExit as error:
                raise SystemExit(f"{name}: {error}") from None
    problems = check_links(pages, files) + check_prose(pages)
    for name, (prose, _) in pages.items():
        titles = [line for _, line in prose if line.startswith("# ")]
        if len(titles) != 1:
            problems.append(f"{name}: {len(titles)} titles, one is needed")
        if name == "README.md" and (ROOT / name).read_text().count("\n") > 150:
            problems.append("README.md: more than 150 lines; docs/guide is the place for the rest")
    return problems


# --- Running the blocks ---------------------------------------------------------------

NUMBER = re.compile(r"\b[0-9a-f]{16,}\b|\d{4}-\d\d-\d\dT[\d:.]+Z?|\d+(?:[.,]\d+)*")


def shape(text):
    return [re.sub(r"\s+", " ", NUMBER.sub("#", line)).strip() for line in text.strip().split("\n")]


def matches(expected, printed, by_shape):
    """Whether what was printed is what a page shows."""
    if by_shape:
        expected, printed = "\n".join(shape(expected)), "\n".join(shape(printed))
    pattern = ".*?".join(re.escape(part) for part in expected.strip().split("…"))
    return re.fullmatch(pattern, printed.strip(), re.S) is not None


def run_page(name, program):
    _, blocks = split_page((ROOT / name).read_text(encoding="utf-8"))
    problems, printed, run = [], None, 0
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        work = Path(folder) / "work"
        home.mkdir()
        work.mkdir()
        environment = {
            "PATH": f"{program.parent}:{os.environ.get('PATH', '/usr/bin:/bin')}",
            "HOME": str(home), "LANG": "C.UTF-8", "TZ": "UTC",
        }
        for block in blocks:
            kind, marks = (block.words or [""])[0], block.words[1:]
            if kind in ("sh", "bash", "shell") and "skip" not in marks:
                try:
                    outcome = subprocess.run(
                        ["sh", "-euc", block.text], cwd=work, env=environment, text=True,
                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                        timeout=BLOCK_TIMEOUT_S)
                except subprocess.TimeoutExpired:
                    problems.append(f"{name}:{block.line}: still running after {BLOCK_TIMEOUT_S} s")
                    break
                run, printed = run + 1, outcome.stdout
                if (outcome.returncode != 0) != ("fails" in marks):
                    problems.append(
                        f"{name}:{block.line}: exit status {outcome.returncode}\n"
                        + re.sub(r"^", "    ", outcome.stdout.rstrip(), flags=re.M))
                    break
            elif {"output", "output-shape"} & set(marks):
                if printed is None or not matches(block.text, printed, "output-shape" in marks):
                    problems.append(
                        f"{name}:{block.line}: this is not what the block before printed:\n"
                        + re.sub(r"^", "    ", (printed or "").rstrip(), flags=re.M))
    return problems, run


def find_program():
    named = os.environ.get("HINTDEX")
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    program = Path(named) if named else target / "release" / "hintdex"
    if not program.is_file():
        raise SystemExit(f"check-docs: no program at {program}; run make build, or set HINTDEX")
    if program.name != "hintdex":
        raise SystemExit(f"check-docs: {program} is not called hintdex, as the pages call it")
    return program.resolve()


def run(pages):
    program = find_program()
    pages = pages or ["README.md", *git_files("docs/guide/*.md")]
    problems, blocks = [], 0
    for name in pages:
        of_page, count = run_page(name, program)
        problems, blocks = problems + of_page, blocks + count
    if not problems:
        print(f"check-docs: {blocks} blocks of {len(pages)} pages run as they are shown")
    return problems


def main():
    command, *rest = sys.argv[1:] or ["lint"]
    if command == "lint" and not rest:
        problems = lint()
    elif command == "run":
        problems = run(rest)
    else:
        raise SystemExit(__doc__)
    for problem in problems:
        print(problem, file=sys.stderr)
    if problems:
        raise SystemExit(f"check-docs: {len(problems)} problems")


if __name__ == "__main__":
    main()
