#!/usr/bin/env python3
"""Lists circles between the modules of a crate.

    check-modules.py [CRATE...]     the named folders of crates/, or all of them
    check-modules.py --self-test    tests the check itself

A module is a file. File A has an arrow to file B where the code of A names an item that B
defines. A re-export is followed to the file that defines the item. These make no arrow:

- `mod b;`, and `pub use b::X;` of a module's own descendant, as long as the code of the
  module does not use `X` itself;
- code behind `#[cfg(test)]`, comments, strings and documentation links;
- calls of methods: an `impl` in B of a type of A is an arrow from B to A only.

Each circle is printed with the lines that make its arrows; the exit status is then 1.
"""

import re
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

IDENT = r"(?:r#)?[A-Za-z_]\w*"
ITEM = re.compile(
    r"\b(?:struct|enum|union|trait|type|fn|static(?:\s+mut)?|const(?!\s+fn\b)|macro_rules!)"
    rf"\s+({IDENT})"
)
USE = re.compile(r"(\bpub\s*(?:\([^()]*\)\s*)?)?\buse\s+([^;]+);")
MOD = re.compile(rf"\bmod\s+({IDENT})\s*;")
INLINE_MOD = re.compile(rf"\bmod\s+({IDENT})\s*\{{")
PATH = re.compile(rf"(?<![\w:.$]){IDENT}(?:\s*::\s*{IDENT})+")
TEST_ATTRIBUTE = re.compile(r"#\[cfg\((?:test\b|all\(\s*test\b)[^\]]*\]")


# --- Source text --------------------------------------------------------------------

NO_CODE = re.compile(
    r"""
      //[^\n]*
    | /\*.*?\*/
    | \bb?c?r(\#*)".*?"\1
    | "(?:\\.|[^"\\])*"
    | b?'(?:\\(?:u\{[^}]*\}|x..|.)|[^'\\\n])'
    """,
    re.VERBOSE | re.DOTALL,
)


def blanked(text, start, end):
    """`text` with spaces in the place of everything but the line ends of a range."""
    return text[:start] + re.sub(r"[^\n]", " ", text[start:end]) + text[end:]


def end_of_item(code, start):
    """The end of the item that begins at `start`: a brace closed, or a semicolon."""
    depth = 0
    for at in range(start, len(code)):
        char = code[at]
        if char in "([{":
            depth += 1
        elif char in ")]}":
            depth -= 1
            if depth == 0 and char == "}":
                # `use a::{b};` and `= S { .. };` go on to the semicolon.
                rest = re.compile(r"\s*;").match(code, at + 1)
                return rest.end() if rest else at + 1
        elif char == ";" and depth == 0:
            return at + 1
    return len(code)


def code_of(text):
    """The code of a file without comments, strings and tests; lines keep their numbers."""
    code = NO_CODE.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)
    while test := TEST_ATTRIBUTE.search(code):
        # Further attributes belong to the same item.
        start = test.end()
        while attribute := re.compile(r"\s*#\[").match(code, start):
            depth, start = 1, attribute.end()
            while depth and start < len(code):
                depth += {"[": 1, "]": -1}.get(code[start], 0)
                start += 1
        code = blanked(code, test.start(), end_of_item(code, start))
    return code


def use_leaves(tree, prefix=()):
    """The paths of a `use` tree: (segments, name in scope or `*`)."""
    tree = tree.strip()
    if brace := re.match(r"(.*?)\{(.*)\}$", tree, re.DOTALL):
        head = tuple(part.strip() for part in brace[1].split("::") if part.strip())
        parts, depth = [""], 0
        for char in brace[2]:
            depth += {"{": 1, "}": -1}.get(char, 0)
            if char == "," and depth == 0:
                parts.append("")
            else:
                parts[-1] += char
        for part in parts:
            if part.strip():
                yield from use_leaves(part, prefix + head)
        return
    path, _, alias = (part.strip() for part in re.sub(r"\s+as\s+", "\0", tree).partition("\0"))
    segments = prefix + tuple(part.strip() for part in path.split("::") if part.strip())
    if segments[-1] == "self" and len(segments) > 1:
        segments = segments[:-1]
    yield segments, alias or segments[-1]


# --- Modules ------------------------------------------------------------------------


class Module:
    """A file: its code, the items it defines, the names it imports."""

    def __init__(self, file, parent):
        self.file, self.parent, self.children = file, parent, {}
        self.code = code_of(file.read_text())
        self.imports, self.globs, self.uses = {}, [], []
        for found in USE.finditer(self.code):
            line = self.code.count("\n", 0, found.start(2)) + 1
            for path, name in use_leaves(found[2]):
                self.uses.append((path, name, line, bool(found[1])))
                if name == "*":
                    self.globs.append(path[:-1])
                elif name != "_":
                    self.imports[name] = path
        # What is left uses names and declares none by `use` or `mod`.
        self.body = self.code
        for found in [*USE.finditer(self.code), *MOD.finditer(self.code)]:
            self.body = blanked(self.body, *found.span())
        self.body = re.sub(
            r"\bpub\s*\([^()]*\)", lambda found: " " * len(found[0]), self.body
        )
        self.items = {found[1] for found in ITEM.finditer(self.body)}
        self.items |= {found[1] for found in INLINE_MOD.finditer(self.body)}

    def lines_of(self, name):
        """The lines on which the body uses a name that it does not qualify."""
        found = re.finditer(rf"(?<![\w:.]){re.escape(name)}\b", self.body)
        return [self.body.count("\n", 0, at.start()) + 1 for at in found]

    def is_within(self, other):
        module = self
        while module is not None and module is not other:
            module = module.parent
        return module is other


def load(file, parent=None):
    """The module of a file with all its descendants."""
    module = Module(file, parent)
    is_folder = parent is None or file.name == "mod.rs"
    folder = file.parent if is_folder else file.with_suffix("")
    for found in MOD.finditer(module.code):
        name = found[1].removeprefix("r#")
        for child in (folder / f"{name}.rs", folder / name / "mod.rs"):
            if child.is_file():
                module.children[name] = load(child, module)
    return module


def walk(module):
    yield module
    for child in module.children.values():
        yield from walk(child)


def resolve(path, module, seen=()):
    """The module that a path leads to and the item's name there, or `None` for a module;
    no module for a path out of the crate."""
    if (path, module) in seen:
        return None, None
    seen += ((path, module),)
    first, *rest = path
    if first in ("crate", "$crate"):
        at = module
        while at.parent is not None:
            at = at.parent
    elif first == "super":
        at = module.parent
    elif first == "self":
        at = module
    else:
        at, rest = module, list(path)
    if at is None:
        return None, None
    while rest:
        name, *rest = rest
        if name == "super":
            at = at.parent
            if at is None:
                return None, None
        elif name in at.children:
            at = at.children[name]
        elif name in at.items:
            return at, name
        elif name in at.imports:
            return resolve(at.imports[name] + tuple(rest), at, seen)
        else:
            for glob in at.globs:
                target, item = resolve(glob + (name,), at, seen)
                if item is not None or (target is not None and name in target.file.parts):
                    return target, item
            # A name of the prelude or of another crate, or one that a macro makes.
            is_qualified = at is not module or first in ("crate", "$crate", "super", "self")
            return (at, name) if is_qualified else (None, None)
    return at, None


def arrows(root):
    """For each pair of modules (from, to) the lines that make the arrow."""
    found = {}

    def add(module, target, line, why):
        if target is not None and target is not module:
            found.setdefault((module, target), set()).add((line, why))

    for module in walk(root):
        for path, name, line, is_public in module.uses:
            why = "::".join(path)
            if name == "*":
                source, _ = resolve(path[:-1], module)
                names = {*source.items, *source.imports} if source else set()
                for each in names:
                    for at in module.lines_of(each)[:1]:
                        target, _ = resolve(path[:-1] + (each,), module)
                        add(module, target, at, f"{each} of {why}")
                continue
            target, item = resolve(path, module)
            if target is None or item is None:
                continue  # Another crate, or a module: its uses make the arrows.
            if is_public and target.is_within(module):
                for at in module.lines_of(name):
                    add(module, target, at, name)
            else:
                add(module, target, line, why)
        for path in PATH.finditer(module.body):
            segments = tuple(part.strip() for part in path[0].split("::"))
            first = segments[0]
            is_local = first in ("crate", "super", "self") or first in module.children
            # Of imported items, the `use` is the arrow.
            if is_local or first in module.imports:
                target, item = resolve(segments, module)
                if not is_local and resolve(module.imports[first], module)[1] is not None:
                    continue
                if item is not None:
                    line = module.body.count("\n", 0, path.start()) + 1
                    add(module, target, line, "::".join(segments))
    return found


# --- Circles ------------------------------------------------------------------------


def circles(found):
    """The sets of modules that lead to one another (Tarjan 1972)."""
    after = {}
    for source, target in found:
        after.setdefault(source, []).append(target)
    numbers, low, stack, groups = {}, {}, [], []

    def visit(module):
        numbers[module] = low[module] = len(numbers)
        stack.append(module)
        for target in after.get(module, ()):
            if target not in numbers:
                visit(target)
                low[module] = min(low[module], low[target])
            elif target in stack:
                low[module] = min(low[module], numbers[target])
        if low[module] == numbers[module]:
            group = set(stack[stack.index(module):])
            del stack[stack.index(module):]
            if len(group) > 1:
                groups.append(group)

    for module in list(after):
        if module not in numbers:
            visit(module)
    return groups


def check(crate):
    """Prints the circles of a crate and returns how many there are."""
    source = crate / "src"
    roots = [file for file in (source / "lib.rs", source / "main.rs") if file.is_file()]
    roots += sorted(source.glob("bin/*.rs"))
    count = 0
    for root in roots:
        found = arrows(load(root))
        for group in circles(found):
            count += 1
            names = sorted(str(module.file.relative_to(source)) for module in group)
            print(f"{crate.name}: circle of {len(names)} modules: {', '.join(names)}")
            lines = []
            for (module, target), places in found.items():
                if module in group and target in group:
                    to = target.file.relative_to(source)
                    here = module.file.relative_to(source)
                    lines += [(str(here), str(to), line, why) for line, why in places]
            for here, to, line, why in sorted(lines):
                print(f"  {here}:{line} -> {to}  {why}")
    return count


# --- The test of the check ----------------------------------------------------------

# Each case: files, and the circles expected, as sets of files.
CASES = {
    "a parent that declares and re-exports": (
        {
            "lib.rs": "mod a;\npub use a::X;",
            "a/mod.rs": "mod b;\npub const N: u8 = 1;\npub use b::X;",
            "a/b.rs": "use super::N;\npub struct X([u8; N as usize]);",
        },
        [],
    ),
    "a parent whose code uses what it re-exports": (
        {
            "lib.rs": "mod a;",
            "a/mod.rs": "mod b;\npub const N: u8 = 1;\npub use b::X;\nfn f(_: X) {}",
            "a/b.rs": "use super::N;\npub struct X([u8; N as usize]);",
        },
        [{"a/mod.rs", "a/b.rs"}],
    ),
    "a parent whose code names its child": (
        {
            "lib.rs": "mod a;",
            "a/mod.rs": "mod b;\npub const N: u8 = 1;\nfn f() { b::g() }",
            "a/b.rs": "pub fn g() -> u8 { super::N }",
        },
        [{"a/mod.rs", "a/b.rs"}],
    ),
    "siblings, through a re-export and through an imported module": (
        {
            "lib.rs": "mod a;\nmod b;\nmod c;\npub use a::X;",
            "a.rs": "use crate::c;\npub struct X;\nfn f() { c::g() }",
            "b.rs": "pub fn h(_: crate::X) {}",
            "c.rs": "use crate::{\n    b::{self as other},\n};\npub fn g() { other::h(()) }",
        },
        [{"a.rs", "b.rs", "c.rs"}],
    ),
    "siblings that share a parent": (
        {
            "lib.rs": "mod a;",
            "a/mod.rs": "mod b;\nmod c;\nfn f() { b::g() }",
            "a/b.rs": "use super::c;\npub fn g() { c::h() }",
            "a/c.rs": "pub fn h() {}",
        },
        [],
    ),
    "a glob, of which one name is used": (
        {
            "lib.rs": "mod a;\nmod b;",
            "a.rs": "use crate::b::*;\npub const N: u8 = M;",
            "b.rs": "pub const M: u8 = 1;\nfn f() -> u8 { crate::a::N }",
        },
        [{"a.rs", "b.rs"}],
    ),
    "comments, strings and tests": (
        {
            "lib.rs": "mod a;\nmod b;",
            "a.rs": 'pub struct A;\n// crate::b::B\n/// [`crate::b::B`]\nconst S: &str = "crate::b::B";'
            "\nfn c<'a>(_: &'a u8) -> char { '\"' }"
            "\n#[cfg(test)]\n#[expect(x, reason = \"y\")]\nmod tests { use crate::b::B; }"
            "\n#[cfg(test)]\nuse crate::b::{B};\npub struct Z;",
            "b.rs": "pub struct B(crate::a::A, crate::a::Z);",
        },
        [],
    ),
    "an implementation beside its type": (
        {
            "lib.rs": "mod a;",
            "a/mod.rs": "mod b;\npub struct X;",
            "a/b.rs": "use super::X;\nimpl X { pub fn f() {} }",
        },
        [],
    ),
}


def self_test():
    failed = 0
    for name, (files, expected) in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            for file, text in files.items():
                (folder / file).parent.mkdir(parents=True, exist_ok=True)
                (folder / file).write_text(text)
            groups = circles(arrows(load(folder / "lib.rs")))
            got = [{str(module.file.relative_to(folder)) for module in group} for group in groups]
        if got != expected:
            failed += 1
            print(f"{name}: expected {expected}, got {got}")
    print(f"check-modules.py: {len(CASES) - failed} of {len(CASES)} cases pass")
    return failed


def main(arguments):
    if arguments == ["--self-test"]:
        return 1 if self_test() else 0
    crates = [ROOT / "crates" / name for name in arguments] or sorted((ROOT / "crates").iterdir())
    for crate in crates:
        if not (crate / "src").is_dir():
            print(f"{crate}: no crate; name folders of crates/", file=sys.stderr)
            return 2
    return 1 if sum([check(crate) for crate in crates]) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
