#!/usr/bin/env python3
"""Draws the figures of the documentation: docs/figures/*.svg.

    draw-docs.py          writes them
    draw-docs.py check    fails when a file is not what this script draws

Each figure has a ground of its own and two palettes, so it can be read on a light and on
a dark page. Only presentation attributes and classes are used: every viewer knows them.
"""

import sys
from html import escape
from math import cos, pi, sin
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "figures"

LIGHT = {
    "paper": "#ffffff", "ink": "#1b2530", "soft": "#52606d", "line": "#7b8794",
    "plain": "#eef1f4", "blue": "#d3e6fa", "green": "#d9efdb", "amber": "#fbe8c4", "red": "#f9d9d5",
    "mark": "#b3261e",
}
DARK = {
    "paper": "#161b22", "ink": "#e6edf3", "soft": "#aab6c2", "line": "#7d8b99",
    "plain": "#2a323c", "blue": "#1f4468", "green": "#24502f", "amber": "#5a4313", "red": "#5f2a26",
    "mark": "#ff8a80",
}
FILLS = ("paper", "plain", "blue", "green", "amber", "red")


def palette(colours):
    rules = [f".{name}{{fill:{colours[name]}}}" for name in FILLS]
    rules += [
        f"text{{fill:{colours['ink']}}}",
        f".soft{{fill:{colours['soft']}}}",
        f".hot{{fill:{colours['mark']}}}",
        f".edge{{stroke:{colours['line']}}}",
        f".arrow{{stroke:{colours['line']};fill:none}}",
        f".head{{fill:{colours['line']}}}",
        f".mark{{stroke:{colours['mark']};fill:none}}",
    ]
    return "".join(rules)


class Figure:
    def __init__(self, width, height, title, description):
        self.width, self.height = width, height
        self.title, self.description = title, description
        self.parts = []

    def box(self, x, y, width, height, lines=(), fill="plain", size=13, dashed=False, radius=6):
        """A rectangle with lines of text in its middle; the first line is bold if it begins with *."""
        dash = ' stroke-dasharray="4 3"' if dashed else ""
        self.parts.append(
            f'<rect class="{fill} edge" x="{x}" y="{y}" width="{width}" height="{height}" rx="{radius}"{dash}/>')
        lines = [lines] if isinstance(lines, str) else list(lines)
        gap = size + 4
        first = y + height / 2 - gap * (len(lines) - 1) / 2 + size * 0.35
        for index, line in enumerate(lines):
            bold = line.startswith("*")
            self.text(x + width / 2, first + index * gap, line.lstrip("*"), "middle",
                      size=size if bold or len(lines) == 1 else size - 1, bold=bold)

    def text(self, x, y, line, anchor="start", size=13, bold=False, kind="", mono=False):
        weight = ' font-weight="600"' if bold else ""
        family = ' font-family="ui-monospace, monospace"' if mono else ""
        kind = f' class="{kind}"' if kind else ""
        self.parts.append(
            f'<text{kind} x="{x:g}" y="{y:g}" text-anchor="{anchor}" font-size="{size}"{weight}{family}>'
            f"{escape(line)}</text>")

    def arrow(self, *points, kind="arrow", dashed=False, head=True):
        """A line through points with a head at its end."""
        dash = ' stroke-dasharray="4 3"' if dashed else ""
        path = "M" + " L".join(f"{round(x, 1):g} {round(y, 1):g}" for x, y in points)
        self.parts.append(f'<path class="{kind}" stroke-width="1.5"{dash} d="{path}"/>')
        if not head:
            return
        (ax, ay), (bx, by) = points[-2:]
        length = ((bx - ax) ** 2 + (by - ay) ** 2) ** 0.5 or 1
        ux, uy = (bx - ax) / length, (by - ay) / length
        left = (bx - 9 * ux - 4 * uy, by - 9 * uy + 4 * ux)
        right = (bx - 9 * ux + 4 * uy, by - 9 * uy - 4 * ux)
        shape = " ".join(f"{x:.1f},{y:.1f}" for x, y in ((bx, by), left, right))
        fill = "head" if kind == "arrow" else "hot"
        self.parts.append(f'<polygon class="{fill}" points="{shape}"/>')

    def line(self, x1, y1, x2, y2, kind="arrow", dashed=False):
        self.arrow((x1, y1), (x2, y2), kind=kind, dashed=dashed, head=False)

    def cells(self, x, y, width, height, values, fills=None, size=12):
        """A row of cells; returns nothing, each cell is `width` wide."""
        for index, value in enumerate(values):
            fill = fills[index] if fills else "plain"
            self.box(x + index * width, y, width, height, value, fill, size, radius=0)

    def svg(self):
        return "\n".join([
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" role="img" '
            f'aria-labelledby="title description" font-family="system-ui, -apple-system, sans-serif">',
            f'<title id="title">{escape(self.title)}</title>',
            f'<desc id="description">{escape(self.description)}</desc>',
            f"<style>{palette(LIGHT)}@media (prefers-color-scheme:dark){{{palette(DARK)}}}</style>",
            f'<rect class="paper" width="{self.width}" height="{self.height}" rx="8"/>',
            *self.parts, "</svg>", "",
        ])


def packet_path():
    figure = Figure(
        860, 372, "From a packet to its payload",
        "A packet is a hint, a ciphertext and a tag. The hint is looked up in the snapshot, then in the "
        "live index, and last by a scan of all keys. Each source names candidate slots. The key of a "
        "candidate confirms the hint, the tag authenticates the packet, admission judges the nonce and "
        "stores the new state, and the payload is returned.")
    figure.text(24, 34, "Packet", bold=True)
    figure.cells(24, 44, 108, 34, ["hint", "ciphertext", "tag"], ["blue", "plain", "plain"])
    figure.text(24, 98, "4–16 bytes", size=11, kind="soft")
    figure.text(240, 98, "8 bytes", size=11, kind="soft")
    figure.arrow((110, 78), (110, 146))
    figure.text(118, 126, "1 look up", size=12, kind="soft")

    figure.box(24, 148, 196, 50, ["*Snapshot", "coming hints, ≈ 2 bytes each"], "green", 13)
    figure.box(24, 224, 196, 50, ["*Live index", "present hints, ≈ 4 bytes each"], "green", 13)
    figure.box(24, 300, 196, 50, ["*Scan", "every key, 1–3 ns each"], "amber", 13)
    figure.arrow((122, 198), (122, 222))
    figure.text(132, 214, "no tag verifies", size=11, kind="soft")
    figure.arrow((122, 274), (122, 298))
    figure.text(132, 290, "no tag verifies", size=11, kind="soft")

    for y in (173, 249, 325):
        figure.line(220, y, 262, y)
    figure.line(262, 173, 262, 325)
    figure.arrow((262, 249), (300, 249))
    figure.text(276, 200, "candidate slots", size=11, kind="soft")

    figure.box(302, 214, 146, 70, ["*2 Confirm", "hint + hint key", "→ (device, nonce)"], "blue")
    figure.arrow((448, 249), (480, 249))
    figure.box(482, 214, 146, 70, ["*3 Verify", "tag + packet key", "→ authentic"], "blue")
    figure.arrow((628, 249), (660, 249))
    figure.box(662, 214, 174, 70, ["*4 Admit", "replay window, clock", "→ state on disk, synced"], "blue")
    figure.arrow((749, 214), (749, 128))
    figure.text(741, 176, "accepted", "end", size=12, kind="soft")
    figure.box(662, 78, 174, 48, ["*Payload", "to the caller"], "green")
    figure.arrow((749, 284), (749, 324))
    figure.text(836, 344, "replay · stale · early", "end", size=12, kind="soft")
    figure.arrow((555, 284), (555, 324))
    figure.text(555, 344, "no tag verified: forged", "middle", size=12, kind="soft")
    figure.arrow((375, 284), (375, 324))
    figure.text(375, 344, "no candidate: unknown", "middle", size=12, kind="soft")
    return figure


def windows_of_time():
    figure = Figure(
        760, 340, "Windows over time",
        "Three windows of an hour. The next window is built when its lead begins. The past window is asked "
        "until the tolerance has passed, then dropped. A device in step has the nonces of the span in the "
        "window; a device whose clock is behind has the nonces of its own clock in the same window.")
    for x, fill, lines in ((60, "plain", ["*past", "07:00–08:00"]), (270, "blue", ["*present", "08:00–09:00"]),
                           (480, "green", ["*next", "09:00–10:00"])):
        figure.box(x, 66, 210, 44, lines, fill)
    figure.line(296, 40, 296, 118, "mark")
    figure.text(296, 30, "past window dropped (--before)", "middle", 12, kind="hot")
    figure.line(445, 40, 445, 118, "mark")
    figure.text(452, 54, "next window built (--window-lead)", size=12, kind="hot")
    figure.arrow((60, 142), (710, 142))
    figure.text(60, 160, "station clock", size=12, kind="soft")
    rows = (
        (196, "A device in step", 270, 210, "the nonces of 08:00–09:00", False),
        (240, "A slow device", 232, 230, "the nonces its own clock may show", True),
        (284, "A new battery", 150, 210, "nonces of 1970, in the present window", True),
    )
    for y, label, x, width, note, dashed in rows:
        figure.text(24, y, label)
        figure.box(x, y - 16, width, 22, "", "blue", dashed=dashed, radius=3)
        figure.text(x + width + 10, y - 1, note, size=12, kind="soft")
    figure.text(24, 322, "Bars: the nonces of one device that the present window holds. For a device in step, "
                "no hint is in two windows.", size=12, kind="soft")
    return figure


def bucket():
    figure = Figure(
        820, 330, "An Elias–Fano bucket",
        "The head of a hint is cut into a prefix, which names the bucket, a suffix, and a rest that is not "
        "stored. In the bucket the upper bits of the sorted suffixes are coded in unary, the lower bits and "
        "the slots follow as they are, and entries added since are whole words at the end.")
    figure.text(24, 32, "Hint", bold=True)
    figure.box(24, 42, 150, 32, "prefix, 16 bits", "blue", radius=0)
    figure.box(174, 42, 150, 32, "suffix, 15 bits", "green", radius=0)
    figure.box(324, 42, 320, 32, "rest, 97 bits: not stored, the key decides", "plain", radius=0, dashed=True)
    figure.arrow((99, 74), (99, 122))
    figure.text(107, 104, "names the row in the store", size=12, kind="soft")
    figure.arrow((249, 74), (249, 90), (560, 90), (560, 122), kind="arrow")
    figure.text(568, 110, "searched in the row", size=12, kind="soft")

    figure.text(24, 142, "Bucket of five entries (the example of the format page)", bold=True)
    x = 24
    for width, label, fill in ((58, "count", "plain"), (76, "suffix_bits", "plain"), (66, "slot_bits", "plain"),
                               (150, "unary", "green"), (170, "low bits", "green"), (120, "slots", "blue"),
                               (130, "loose entries", "amber")):
        figure.box(x, 152, width, 34, label, fill, 12, radius=0)
        x += width
    figure.line(224, 186, 24, 210)
    figure.line(374, 186, 414, 210)
    figure.text(24, 226, "upper 2 bits of the suffixes, in unary: a 1 for each entry, a 0 after each value",
                size=12, kind="soft")
    bits = "1 0 1 1 0 1 0 1 0".split()
    fills = ["green", "plain", "green", "green", "plain", "green", "plain", "green", "plain"]
    figure.cells(24, 236, 30, 28, bits, fills)
    for x, label in ((24, "00"), (84, "01"), (174, "10"), (234, "11")):
        figure.text(x + 4, 280, label, size=12, mono=True)
    figure.text(330, 256, "2 bits an entry in all, whatever the size of the bucket", size=12, kind="soft")
    figure.text(24, 312, "An entry: 2 bits of unary, the rest of the suffix, the slot. 31 bits for 10 million "
                "hints of a million devices.", size=12, kind="soft")
    return figure


def ribbon():
    figure = Figure(
        820, 372, "Bumped ribbon retrieval",
        "A hint is hashed to a start and to 64 coefficients. Its value is the exclusive or of the rows that "
        "the coefficients choose among the 64 rows from the start on. Building solves the linear system. "
        "Hints below a threshold of their bucket are bumped to the next, smaller layer.")
    figure.box(24, 30, 120, 34, "hint", "blue")
    figure.arrow((144, 47), (186, 47))
    figure.box(188, 30, 120, 34, "hash", "plain")
    figure.arrow((308, 40), (350, 40))
    figure.text(356, 44, "start: a row, a multiple of 8", size=12)
    figure.arrow((308, 56), (350, 64))
    figure.text(356, 68, "coefficients: 64 bits", size=12)
    figure.text(24, 108, "Rows of layer 0 (r bits each)", bold=True)
    values = ["" for _ in range(24)]
    chosen = {6, 8, 9, 12, 15}
    fills = ["green" if n in chosen else ("plain" if 6 <= n < 18 else "paper") for n in range(24)]
    figure.cells(24, 118, 32, 30, values, fills)
    figure.line(24 + 6 * 32, 156, 24 + 18 * 32, 156, "mark")
    figure.text(24 + 12 * 32, 172, "the ribbon: 64 rows from the start on", "middle", 12, kind="hot")
    figure.text(24, 200, "value = exclusive or of the chosen rows = number of the group of slots", size=13)
    figure.text(24, 220, "a foreign hint yields some group, too: the keys of the group decide", size=12, kind="soft")
    figure.text(24, 262, "Layers", bold=True)
    figure.box(24, 272, 470, 30, "layer 0: 95–96 rows for each 100 hints", "green", radius=0)
    figure.arrow((494, 287), (534, 287))
    figure.text(500, 266, "bumped: start below the threshold of its 256 rows", size=12, kind="soft")
    figure.box(536, 272, 110, 30, "layer 1", "green", radius=0)
    figure.arrow((646, 287), (676, 287))
    figure.box(678, 272, 60, 30, "layer 2", "green", radius=0)
    figure.text(24, 334, "A byte for each 256 rows is the threshold. Layer 2 has rows to spare, so it takes "
                "what is left.", size=12, kind="soft")
    figure.text(24, 352, "In all 0.2 to 0.5 % more than r bits a hint.", size=12, kind="soft")
    return figure


def sieve():
    figure = Figure(
        820, 330, "Sieve and decide",
        "Sixteen last round keys fill four registers of 64 bytes. The key schedule runs backwards while the "
        "hint is decrypted. A comparison of 24 bits drops all but one wrong key in 2 to the 24; the few keys "
        "that pass are decided exactly.")
    figure.text(24, 32, "Key table: the last round key of each slot, 16 bytes", bold=True)
    figure.cells(24, 42, 46, 30, [f"k{n}" for n in range(16)], ["blue"] * 4 + ["plain"] * 12)
    figure.text(770, 62, "…", size=16)
    figure.arrow((116, 72), (116, 108))
    figure.text(126, 96, "16 keys at a time: 4 registers of 4 keys (AVX-512)", size=12, kind="soft")
    figure.box(24, 110, 250, 84, ["*Sieve", "schedule backwards, key by key", "decrypt 9 rounds", "compare 24 bits"],
               "amber")
    figure.arrow((274, 152), (336, 152))
    figure.text(305, 142, "passes", "middle", 11, kind="soft")
    figure.text(305, 172, "1 in 2²⁴", "middle", 11, kind="soft")
    figure.box(338, 110, 200, 84, ["*Decide", "all 96 check bits", "one key at a time"], "green")
    figure.arrow((538, 152), (600, 152))
    figure.box(602, 126, 190, 52, ["*Match", "(slot, nonce)"], "blue")
    figure.arrow((149, 194), (149, 226))
    figure.text(24, 244, "all other keys: not the device", size=12, kind="soft")
    figure.text(24, 284, "One hint costs 2.7 ns a key and core; with 16 hints in one pass 0.9 ns, because the key "
                "schedule is paid once.", size=12)
    figure.text(24, 304, "Truncated hints cannot be decrypted: each expected nonce is encrypted forwards and compared.",
                size=12, kind="soft")
    return figure


def beacon_clock():
    figure = Figure(
        820, 318, "Hypotheses of a beacon's clock",
        "A sighting where no device is expected makes a suspected clock. A second rotation that agrees makes "
        "it known, and the clock that was known becomes former. The former clock is served until the known "
        "one has held for three rotations and thirty days, and becomes known again by two rotations.")
    figure.box(40, 60, 180, 60, ["*Suspected", "one rotation, up to 8"], "amber")
    figure.box(320, 60, 180, 60, ["*Known", "two rotations agree"], "green")
    figure.box(600, 60, 180, 60, ["*Former", "served beside the known"], "blue")
    figure.arrow((220, 80), (318, 80))
    figure.text(269, 34, "another rotation", "middle", 12, kind="soft")
    figure.text(269, 50, "agrees", "middle", 12, kind="soft")
    figure.arrow((500, 80), (598, 80))
    figure.text(549, 34, "another clock", "middle", 12, kind="soft")
    figure.text(549, 50, "becomes known", "middle", 12, kind="soft")
    figure.arrow((690, 120), (690, 156), (410, 156), (410, 122))
    figure.text(550, 174, "heard in two rotations: known again", "middle", 12, kind="soft")
    figure.arrow((740, 120), (740, 206))
    figure.text(740, 224, "forgotten: known held 3 rotations and 30 days", "end", 12, kind="soft")
    figure.arrow((60, 180), (130, 180), (130, 122))
    figure.text(24, 200, "a sighting where the beacon is not expected", size=12, kind="soft")
    figure.text(24, 262, "One recording, however often it is played, is one rotation: it moves no clock.", size=13)
    figure.text(24, 284, "Bounds of a clock: what either of its two newest rotations that agree allows, widened by "
                "the drift since.", size=12, kind="soft")
    figure.text(24, 302, "The registration is the first known clock.", size=12, kind="soft")
    return figure


def chain():
    figure = Figure(
        860, 420, "A lookup in a chain",
        "Points of a snapshot lie on cycles: from each point an arrow leads to the point whose number is the "
        "index of its hint. Some points are marked and store the mark before them. A lookup starts at the "
        "index of the hint, walks to the next mark, jumps to the mark before it, and walks on until a point "
        "made the hint or the start is reached again.")
    names = ["6", "3", "0", "9", "x = 5", "p = 2", "11", "8", "1", "10", "4", "7"]
    marks, steps = {2: 10, 7: 2, 10: 7}, 12
    middle_x, middle_y, radius, dot = 210, 218, 140, 24

    def place(index, distance=radius):
        angle = 2 * pi * index / steps - pi / 2
        return middle_x + distance * cos(angle), middle_y + distance * sin(angle)

    def toward(start, end, gap):
        length = ((end[0] - start[0]) ** 2 + (end[1] - start[1]) ** 2) ** 0.5
        share = gap / length
        return start[0] + (end[0] - start[0]) * share, start[1] + (end[1] - start[1]) * share

    figure.text(24, 32, "A cycle: from a point to the index of its hint", bold=True)
    for index in range(steps):
        start, end = place(index), place((index + 1) % steps)
        is_walked = index in (2, 3, 5, 6)
        figure.arrow(toward(start, end, dot), toward(end, start, dot), kind="mark" if is_walked else "arrow")
    for index, before in marks.items():
        start, end = place(index), place(before)
        is_walked = index == 7
        figure.arrow(toward(start, end, dot + 2), toward(end, start, dot + 2),
                     kind="mark" if is_walked else "arrow", dashed=True)
    for index, name in enumerate(names):
        x, y = place(index)
        fill = "amber" if index in marks else "green" if index == 4 else "blue" if index == 5 else "plain"
        figure.box(round(x - 23), round(y - 14), 46, 28, name, fill, 12, radius=14)
    figure.text(24, 398, "Amber: marked points, each with the mark before it (dashed), one in about T points. "
                "All other points store nothing.", size=12, kind="soft")

    figure.text(440, 32, "Who made the hint y?", bold=True)
    rows = [
        ("1", "p = F(y) = 2", "F numbers the hints; only the point before p can have made y"),
        ("2", "2 → 11 → 8", "compute the hint of each point; its index is the next point"),
        ("3", "8 ⇢ 0", "8 is marked: go on from the mark before it"),
        ("4", "0 → 9 → 5", "the hint of point 5 is y: its slot and its nonce are found"),
    ]
    for index, (number, path, why) in enumerate(rows):
        y = 50 + index * 66
        figure.box(440, y, 30, 52, number, "plain")
        figure.text(484, y + 20, path, bold=True, mono=True)
        figure.text(484, y + 42, why, size=12, kind="soft")
    figure.text(440, 334, "If the walk reaches p again, no point of the snapshot made y:", size=13)
    figure.text(440, 353, "a foreign hint is proven foreign, at the same cost.", size=13)
    return figure


FIGURES = {
    "packet-path": packet_path, "windows-of-time": windows_of_time, "bucket": bucket,
    "ribbon": ribbon, "chain": chain, "sieve": sieve, "beacon-clock": beacon_clock,
}


def main():
    is_check = sys.argv[1:] == ["check"]
    if sys.argv[1:] and not is_check:
        raise SystemExit(__doc__)
    FOLDER.mkdir(exist_ok=True)
    for name, draw in FIGURES.items():
        path, svg = FOLDER / f"{name}.svg", draw().svg()
        if not is_check:
            path.write_text(svg, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != svg:
            raise SystemExit(f"draw-docs: {path.name} is not what this script draws; run tools/draw-docs.py")


if __name__ == "__main__":
    main()
