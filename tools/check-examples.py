#!/usr/bin/env python3
"""Lists public items that no example shows.

    check-examples.py               the pages of `cargo doc --release --no-deps`
    check-examples.py --self-test   tests the check itself

The pages are read from $CARGO_TARGET_DIR/doc or target/doc. Every struct, enum, union, trait,
type, function and macro that a crate of crates/ exports must have one of these:

- an example on its page: in its own docs or in those of a method;
- in its own docs, a link to a page with an example that names the item.

Constants and hidden items are left out. The exit status is 1 if an item has no example.
"""

import os
import re
import sys
import tempfile
from html.parser import HTMLParser
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ITEM = re.compile(r"(?:.*/)?(?:struct|enum|union|trait|type|fn|macro)\.(\w+)\.html$")


class Page(HTMLParser):
    """A page of rustdoc: its examples as text, and the links of the item's own docs."""

    def __init__(self, path):
        super().__init__()
        self.examples, self.links, self.all_links = "", [], []
        self.is_in_example, self.own_docs_depth = False, 0
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        classes = (attributes.get("class") or "").split()
        if tag == "pre" and "rust-example-rendered" in classes:
            self.is_in_example = True
        if tag == "details" and (self.own_docs_depth or "top-doc" in classes):
            self.own_docs_depth += 1
        if tag == "a" and "href" in attributes:
            self.all_links.append(attributes["href"])
            if self.own_docs_depth:
                self.links.append(attributes["href"])

    def handle_endtag(self, tag):
        if tag == "pre":
            self.is_in_example = False
        if tag == "details" and self.own_docs_depth:
            self.own_docs_depth -= 1

    def handle_data(self, data):
        if self.is_in_example:
            self.examples += data


def check(docs, crates):
    """The items without an example as `crate::path::Item`, and the number of all items."""
    pages = {}

    def page(path):
        if path not in pages:
            pages[path] = Page(path)
        return pages[path]

    def is_shown(path, name):
        if page(path).examples:
            return True
        for link in page(path).links:
            there = (path.parent / link.partition("#")[0]).resolve()
            is_page = there.suffix == ".html" and there.is_file() and there.is_relative_to(docs)
            if is_page and re.search(rf"\b{name}\b", page(there).examples):
                return True
        return False

    docs = docs.resolve()
    missing, count = [], 0
    for crate in crates:
        items = [link for link in page(docs / crate / "all.html").all_links if ITEM.match(link)]
        for link in items:
            name = ITEM.match(link)[1]
            count += 1
            if not is_shown(docs / crate / link, name):
                missing.append("::".join([crate, *Path(link).parent.parts, name]))
    return missing, count


# --- The test of the check ----------------------------------------------------------

EXAMPLE = '<pre class="rust rust-example-rendered"><code><span>{}</span>::new()</code></pre>'
OWN = '<details class="toggle top-doc" open><summary>x</summary><div>{}</div></details>'
PAGES = {
    "a/all.html": "".join(
        f'<a href="{link}.html">x</a>'
        for link in (
            "struct.Own", "struct.Method", "struct.Linked", "enum.Unnamed", "trait.Elsewhere",
            "m/fn.inner", "type.None", "constant.LEFT_OUT",
        )
    ),
    "a/index.html": OWN.format(EXAMPLE.format("Linked")),
    "a/struct.Own.html": OWN.format(EXAMPLE.format("Own")),
    "a/struct.Method.html": OWN.format("") + EXAMPLE.format("Method"),
    "a/struct.Linked.html": OWN.format('<a href="index.html">the crate</a>'),
    # The example that the link leads to names another item.
    "a/enum.Unnamed.html": OWN.format('<a href="struct.Own.html#method.new">Own</a>'),
    # A link outside of the item's own docs.
    "a/trait.Elsewhere.html": OWN.format("") + '<a href="../b/fn.Elsewhere.html">x</a>',
    "a/m/fn.inner.html": OWN.format('<a href="../../b/fn.f.html">x</a> <a href="https://x">x</a>'),
    # Code of another language is no example, and a file may be missing.
    "a/type.None.html": OWN.format('<pre class="language-text">None</pre><a href="no.html">x</a>'),
    "b/all.html": '<a href="fn.f.html">f</a>',
    "b/fn.f.html": OWN.format(EXAMPLE.format("inner")),
    "b/fn.Elsewhere.html": EXAMPLE.format("Elsewhere"),
}
MISSING = ["a::Unnamed", "a::Elsewhere", "a::None"]


def self_test():
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        for name, text in PAGES.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
        got = check(folder, ["a", "b"])
    if got != (MISSING, 8):
        print(f"check-examples.py: expected {(MISSING, 8)}, got {got}")
        return 1
    print("check-examples.py: the cases pass")
    return 0


def main(arguments):
    if arguments == ["--self-test"]:
        return self_test()
    if arguments:
        print(__doc__, file=sys.stderr)
        return 2
    docs = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "doc"
    crates = sorted(lib.parent.parent.name.replace("-", "_") for lib in ROOT.glob("crates/*/src/lib.rs"))
    for crate in crates:
        if not (docs / crate / "all.html").is_file():
            print(f"check-examples.py: no docs of {crate} in {docs}; run cargo doc first", file=sys.stderr)
            return 2
    missing, count = check(docs, crates)
    for item in missing:
        print(f"{item}: no example, and no link in its docs to an example that names it")
    print(f"check-examples.py: {count - len(missing)} of {count} public items have an example")
    return 1 if missing or not count else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
