"""Draw a stack's architecture from its synthesized template, in AWS's visual language.

template → graph (wiring.py) → layout (ELK, run by Node) → SVG with AWS's architecture icons. The
SVG refers to nothing outside itself; the same wiring gives the same bytes. Events flow from left
to right; failure destinations, and functions that a resource asks for an answer, are below their
resource. A picture that is too wide for a page is drawn more narrowly: see FORMS.

ELK, not Graphviz: right-angled lines with labels of their own, and lanes in the events' order. AWS
allows its icons in architecture diagrams: https://aws.amazon.com/architecture/icons
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from collections import Counter
from functools import cache
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from .wiring import BOTH, FAILURE, FLOW, ICONS, Edge, Graph, Node, graph

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).resolve().parents[1]
ICON, AIR = 48, 5  # AWS's icon size; the space between an icon and its arrows
TITLE, NAME, TERM, LEADING = 18, 12, 11, 3  # font sizes, and what is between two lines
PAGE, LEGIBLE = 900, 10  # how wide a README shows a picture, and its smallest text there, in px
WIDEST = PAGE * TERM / LEGIBLE
DROP, ASIDE = 36, 14  # length of an arrow down; how far below the middle failures leave an icon
DOCKS = (0, 10, -10, 19, -19)  # where arrows meet an icon, from its middle
MARGIN, HEADER, PADDING = 24, 60, 20  # of the card; above the frame, for the title; in the frame
INK, GREY, RED, PINK = "#232f3e", "#5a6472", "#b3261e", "#e7157b"
FLOWS = (INK, "#0972d3", "#037f0c")  # where several resources fan out to the same ones
FONT = "Amazon Ember, Helvetica Neue, Helvetica, Arial, sans-serif"
CLIENT = "client"  # no logical id: those have no lower-case start
ANSWERED = "answered"  # the same client, where the flow ends
LAYOUT = {
    "elk.algorithm": "layered",
    "elk.direction": "RIGHT",
    "elk.layered.considerModelOrder.strategy": "PREFER_NODES",  # lanes as the events' order
    "elk.layered.edgeLabels.sideSelection": "ALWAYS_UP",
    "elk.layered.spacing.edgeEdgeBetweenLayers": "12",
    "elk.layered.spacing.edgeNodeBetweenLayers": "12",
    "elk.layered.spacing.nodeNodeBetweenLayers": "16",
    "elk.spacing.edgeEdge": "14",
    "elk.spacing.edgeLabel": "3",
    "elk.spacing.nodeNode": "28",
    "elk.padding": "[top=0,left=0,bottom=0,right=0]",
}


class Form(NamedTuple):
    """How to draw: characters of a name's line and of a term's, and what saves columns."""

    name: int = 18
    term: int = 22
    fold: bool = False  # the last stop of an event is below the one before
    rows: float = 0  # width to height, if the columns are wrapped into rows
    deep: bool = False  # the only stop after one is below it, with what is below that
    kept: bool = False  # a bucket is before who reads or deletes what it keeps


FORMS = (
    Form(),
    Form(17, 18),
    Form(13, 18, fold=True),
    *(Form(rows=r) for r in (1.5, 1, 0.6)),
    Form(12, 15, fold=True),
    Form(10, 13, fold=True, deep=True),
    Form(10, 13, fold=True, deep=True, kept=True),
)
RUN_ELK = """
const ELK = require("elkjs/lib/elk.bundled.js");
require("readline").createInterface({ input: process.stdin }).on("line", async (graph) => {
  console.log(JSON.stringify(await new ELK().layout(JSON.parse(graph))));
});
"""


def render(template: dict[str, Any], title: str) -> str:
    """The architecture diagram of a synthesized template, as SVG.

    Raises:
        ValueError: The template wires nothing together.
    """
    drawn = graph(template)
    if not drawn.edges:
        raise ValueError("There is nothing to draw: no resource of this template feeds another.")
    for form in FORMS:  # the first that fits, or else the last
        drawing = _Drawing(drawn, title, form)
        if drawing.width <= WIDEST and not (form.rows and drawing.back):  # circles are not wrapped
            break
    return drawing.svg()


def _client(title: str, drawn: Graph) -> str:
    """The name that the client has in the flow line: who begins it, or who is told in the end."""
    flow = re.match("([a-z]+) →[^;]*?([a-z]+)?(?:;|$)", title)
    names = flow.groups() if flow else ()
    kinds = {node.kind for node in drawn.nodes.values()}
    return next((name.capitalize() for name in names if name and name not in kinds), "Client")


class _Drawing:
    """A graph with its layout."""

    def __init__(self, drawn: Graph, title: str, form: Form) -> None:
        self.title, self.form = title, form
        self.nodes, self.edges = drawn.nodes, drawn.edges
        # What is uploaded to a bucket begins the flow, though results come back into it.
        self.back = {
            edge
            for edge in drawn.edges
            if drawn.nodes[edge.target].kind == "bucket"
            and edge.source in self._reached(edge.target)
        }
        entered = {edge.target for edge in drawn.edges if edge not in self.back}
        entries = [n for n, what in drawn.nodes.items() if what.needs_event and n not in entered]
        client = {CLIENT: Node("Client", _client(title, drawn), "", "")}
        again = {ANSWERED: client[CLIENT]} if drawn.answers else {}
        self.nodes = (client if entries else {}) | drawn.nodes | again
        told = [Edge(node, ANSWERED, FLOW) for node in drawn.answers]
        self.edges = [*(Edge(CLIENT, node, FLOW) for node in entries), *drawn.edges, *told]
        self.alarms, self.told = drawn.alarms, drawn.told
        self.below = self._below()
        # Icons are as far from the left of their boxes everywhere: so they align in a column.
        self.half = max(self._label_size(node)[0] for node in self.nodes) / 2
        self.docks = self._docks()
        self.colours = self._colours()
        self.icons: dict[str, str] = {}
        self.layout = _elk(self._request())
        self.frame = self._around()
        room = self._label_size(CLIENT)[0] + PADDING if CLIENT in self.nodes else 0
        self.left = self.frame[0] - room - MARGIN
        self.at = dict(self._places())
        self.heading = _heading(title, self.frame[2] - self.left - MARGIN)
        heading = max(_width(line, TITLE, bold=True) for line in self.heading)
        self.width = max(self.frame[2] - self.left, heading + MARGIN) + MARGIN

    def _below(self) -> dict[str, Edge]:
        """What is drawn below another resource: its dead-letter queue, a function it asks."""
        below: dict[str, Edge] = {}
        owners: set[str] = set()
        going = {edge.source for edge in self.edges}
        for edge in sorted(self.edges, key=lambda edge: edge.kind == FLOW):
            others = [e for e in self.edges if e.target == edge.target and e != edge]
            if edge.kind == FLOW:
                last = edge.target not in going
                only = sum(e.source == edge.source and e.kind != FAILURE for e in self.edges) == 1
                folds = (self.form.fold and last) or (self.form.deep and only)
                fits = folds and edge.source != CLIENT and not others
            else:
                reached = self._reached(edge.source)
                fits = all(
                    e.kind == FAILURE
                    and (e.source in reached or edge.source in self._reached(e.source))
                    for e in others
                )
            taken = below.keys() | (owners - {edge.target} if self.form.deep else owners)
            if fits and not {edge.source, edge.target} & taken:
                below[edge.target] = edge
                owners.add(edge.source)
        return below

    def _docks(self) -> dict[Edge, int]:
        """Where arrows meet their target: those of sources that fan out must not look like one."""
        docks = {}
        trunks: dict[str, dict[tuple[bool, str], int]] = {}
        fans = Counter(edge.source for edge in self.edges if edge.kind == FLOW)
        for edge in self.edges:
            known = trunks.setdefault(edge.target, {})
            trunk = (edge.kind == FAILURE, edge.source if fans[edge.source] > 1 else "")
            docks[edge] = DOCKS[known.setdefault(trunk, len(known)) % len(DOCKS)]
        return docks

    def _colours(self) -> dict[str, str]:
        """The colour of each source's flows: two bundles that end at the same icons differ."""
        fans: dict[str, set[str]] = {}
        for edge in self.edges:
            if edge.kind == FLOW:
                fans.setdefault(edge.source, set()).add(edge.target)
        colours: dict[str, str] = {}
        for source, targets in fans.items():
            alike = [
                o for o in colours if min(len(targets), len(fans[o])) > 1 and targets & fans[o]
            ]
            free = [colour for colour in FLOWS if colour not in {colours[o] for o in alike}]
            colours[source] = free[0] if free else INK
        return colours

    def _reached(self, node: str) -> set[str]:
        """All that the events of a node flow on to."""
        reached = {node}
        for _ in self.nodes:
            reached |= {e.target for e in self.edges if e.source in reached and e.kind == FLOW}
        return reached

    def _request(self) -> dict[str, Any]:
        """The graph in ELK's terms: a box for each resource and what is below it."""
        wrapped = {
            "elk.layered.wrapping.strategy": "MULTI_EDGE",
            "elk.aspectRatio": str(self.form.rows),
        }
        return {
            "id": "root",
            "layoutOptions": LAYOUT | (wrapped if self.form.rows else {}),
            "children": [self._box(node) for node in self.nodes if node not in self.below],
            "edges": [
                self._arrow(edge) | {"id": str(n)}
                for n, edge in enumerate(self.edges)
                if self.below.get(edge.target) != edge
            ],
        }

    def _column(self, owner: str) -> list[str]:
        """A resource and what is below it, from top to bottom."""
        below = [node for node, edge in self.below.items() if edge.source == owner]
        return [owner, *(lower for node in below for lower in self._column(node))]

    def _beside(self, node: str) -> list[str]:
        """The lines of the label of the arrow down to a node."""
        chars = self.form.term if self.form.deep else 99
        return [t for label in self.below[node].label for t in _wrap(label, chars)]

    def _box(self, owner: str) -> dict[str, Any]:
        right, height, ports = ICON / 2 + AIR, 0.0, []
        for node in self._column(owner):
            beside = self._beside(node) if node != owner else []
            height += DROP + max(len(beside) - 1, 0) * (TERM + LEADING) if height else 0
            middle = height + AIR + ICON / 2
            ports += [
                {"id": f"{node} {side} {aside}", "x": side, "y": middle + aside}
                for side in ("in", "out")
                for aside in (*DOCKS, ASIDE)
            ]
            label, tall = self._label_size(node)
            right = max(right, label / 2, *(_width(line, TERM) + 16 for line in beside))
            height += ICON + 2 * AIR + tall
        width = self.half + right
        for port in ports:
            port["x"] = width if port["x"] == "out" else 0
        options = {"elk.portConstraints": "FIXED_POS", "elk.alignment": "LEFT"}
        return {
            "id": owner, "width": width, "height": height, "ports": ports, "layoutOptions": options
        }  # fmt: skip

    def _label_size(self, node: str) -> tuple[float, float]:
        name, term = self._lines(node)
        widths = [_width(t, NAME, bold=True) for t in name] + [_width(t, TERM) for t in term]
        return max(widths), len(name) * (NAME + LEADING) + len(term) * (TERM + LEADING) + 4

    def _lines(self, node: str) -> tuple[list[str], list[str]]:
        """A node's name, in lines about as long as each other, and its term."""
        what = self.nodes[node]
        wraps = [_wrap(what.name, chars) for chars in range(self.form.name, 0, -1)]
        name = [lines for lines in wraps if len(lines) == len(wraps[0])][-1]
        short = len(what.term) <= self.form.term
        terms = [what.term] if short else [what.service, what.kind]
        return name, [line for term in terms for line in _wrap(term, self.form.term)]

    def _goes_back(self, edge: Edge) -> bool:
        """Whether an arrow goes back: a failure, to a resource below an earlier one; or a read."""
        if self.form.kept and self.nodes[edge.target].kind == "bucket":
            return edge.label in (("reads",), ("deletes",))
        owner = self.below.get(edge.target)
        return owner not in (None, edge) and edge.source in self._reached(owner.source)

    def _arrow(self, edge: Edge) -> dict[str, Any]:
        aside = ASIDE if edge.kind == FAILURE else 0
        ends = [f"{edge.source} out {aside}", f"{edge.target} in {self.docks[edge]}"]
        if self._goes_back(edge):
            dock = 0 if edge.kind == FAILURE else self.docks[edge]
            ends = [f"{edge.target} out {dock}", f"{edge.source} in {dock or ASIDE}"]
        # A label takes room between two columns: beside it, an arrow without one takes it too.
        beside = [
            e for e in self.edges if e.source == edge.source and e != self.below.get(e.target)
        ]
        room = any(other.label for other in beside)
        width = max((_width(line, TERM) for line in edge.label), default=1)
        label = {"text": "label", "width": width, "height": len(edge.label) * (TERM + LEADING)}
        weight = {"elk.layered.priority.straightness": "1" if edge.kind == FAILURE else "10"}
        if self.back:  # a circle is cut where it goes back
            weight["elk.layered.priority.direction"] = "0" if edge in self.back else "10"
        return {
            "sources": ends[:1], "targets": ends[1:], "layoutOptions": weight,
            "labels": [label] if room else [],
        }  # fmt: skip

    def _around(self) -> tuple[float, float, float, float]:
        """The frame around all but the client: left, top, right, bottom."""
        inside = [box["x"] for box in self.layout["children"] if box["id"] != CLIENT]
        inside += [
            point["x"]
            for arrow in self.layout["edges"]
            if not arrow["sources"][0].startswith(f"{CLIENT} ")
            for point in arrow["sections"][0].get("bendPoints", [])
        ]
        right, bottom = self.layout["width"], self.layout["height"]
        return min(inside) - PADDING, -2 * PADDING, right + PADDING, bottom + PADDING

    def _places(self) -> Iterator[tuple[str, tuple[float, float]]]:
        """Where each icon is: the middle of its upper edge. The client is outside of the frame."""
        outside = self.left + MARGIN + (self.frame[0] - PADDING - self.left - MARGIN) / 2
        for box in self.layout["children"]:
            for port in box["ports"]:
                node, side, aside = port["id"].split()
                if (side, aside) == ("in", "0"):
                    x = outside if node == CLIENT else box["x"] + self.half
                    yield node, (x, box["y"] + port["y"] - ICON / 2)

    def svg(self) -> str:
        body = [self._cloud(), *self._edges(), *map(self._node, self.nodes), *self._legend()]
        left, width = self.left, self.width
        top = self.frame[1] - HEADER - (len(self.heading) - 1) * (TITLE + LEADING)
        height = self.frame[3] + HEADER - 12 - top
        card = " ".join(map(_n, (left, top, width, height)))
        title = _text(left + MARGIN, top + 38, self.heading, size=TITLE, weight=700, anchor="start")
        names = {node: what.name for node, what in self.nodes.items()}
        flows = "; ".join(f"{names[edge.source]} → {names[edge.target]}" for edge in self.edges)
        heads = [
            f'<marker id="{_head(colour)}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="9" '
            'markerHeight="9" orient="auto-start-reverse" markerUnits="userSpaceOnUse">'
            f'<path d="M1 1 9 5 1 9" fill="none" stroke="{colour}" stroke-width="1.6"/></marker>'
            for colour in dict.fromkeys([INK, *self.colours.values(), RED])
        ]
        lines = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{card}" width="{_n(width)}" '
            f'height="{_n(height)}" role="img" font-family="{FONT}">',
            f"<title>{escape(self.title)}</title>\n<desc>{escape(flows)}</desc>",
            *("<defs>", *heads, *self.icons.values(), "</defs>"),
            f'<rect x="{_n(left + 0.5)}" y="{_n(top + 0.5)}" width="{_n(width - 1)}" '
            f'height="{_n(height - 1)}" rx="8" fill="#fff" stroke="#d5dbdb"/>',
            *(title, *body, "</svg>\n"),
        ]
        return "\n".join(lines)

    def _icon(self, name: str, x: float, y: float, size: int) -> str:
        """Use an icon, or a box if there is none; its drawing is in the file once."""
        files = list(ICONS.glob(f"*/{name}.svg"))
        place = f'x="{_n(x)}" y="{_n(y)}" width="{size}" height="{size}"'
        if not files:
            return f'<rect {place} rx="4" fill="#fff" stroke="{GREY}" stroke-width="1.5"/>'
        drawing = r'viewBox="([^"]+)"[^>]*>(?:<title>.*?</title>)?(.*)</svg>'
        found = re.search(drawing, files[0].read_text(), re.DOTALL)
        if not found:
            raise ValueError(f"{files[0].name} is not an icon as aws-icons makes them.")
        self.icons[name] = f'<symbol id="{name}" viewBox="{found[1]}">{found[2]}</symbol>'
        return f'<use href="#{name}" {place}/>'

    def _cloud(self) -> str:
        x, y, right, bottom = self.frame
        return (
            f'<rect x="{_n(x)}" y="{_n(y)}" width="{_n(right - x)}" height="{_n(bottom - y)}" '
            f'fill="none" stroke="{INK}"/>'
            + self._icon("AWSCloudlogo", x, y, 28)
            + _text(x + 38, y + 18, ["AWS Cloud"], size=12, anchor="start")
        )

    def _node(self, node: str) -> str:
        """An icon with its name and term below, and a badge where alarms watch."""
        what, (x, y) = self.nodes[node], self.at[node]
        name, term = self._lines(node)
        under = y + ICON + AIR + NAME + 2
        count = self.alarms.get(node)
        return (
            self._icon(what.icon, x - ICON / 2, y, ICON)
            + _text(x, under, name, size=NAME, weight=600)
            + _text(x, under + len(name) * (NAME + LEADING) - 1, term, size=TERM, colour=GREY)
            + (self._badge(x + ICON / 2 - 2, y + 2, count) if count else "")
        )

    def _badge(self, x: float, y: float, count: int) -> str:
        return (
            f"<g><title>{count} CloudWatch alarm{'s' * (count > 1)}</title>"
            f'<circle cx="{_n(x)}" cy="{_n(y)}" r="11" fill="#fff" stroke="{PINK}"/>'
            + self._icon("AmazonCloudWatchAlarm", x - 6.5, y - 7, 13)
            + "</g>"
        )

    def _edges(self) -> Iterator[str]:
        routes = {edge["id"]: edge for edge in self.layout["edges"]}
        for n, edge in enumerate(self.edges):
            (from_x, from_y), (x, y) = self.at[edge.source], self.at[edge.target]
            colour = RED if edge.kind == FAILURE else self.colours.get(edge.source, INK)
            if self.below.get(edge.target) == edge:
                top = from_y + ICON + AIR + self._label_size(edge.source)[1]
                yield _line([(x, top + 2), (x, y - AIR)], edge.kind, colour)
                beside = self._beside(edge.target)
                middle = (top + y - (TERM + LEADING) * max(len(beside) - 1, 0)) / 2 + TERM / 3
                yield _text(x + 8, middle, beside, size=TERM, colour=colour, anchor="start")
                continue
            (section,) = routes[str(n)]["sections"]
            points = [section["startPoint"], *section.get("bendPoints", []), section["endPoint"]]
            line = [(point["x"], point["y"]) for point in points]
            if self._goes_back(edge):
                line.reverse()
            for end, icon, after in ((0, from_x, 1), (-1, x, -2)):
                side = ICON / 2 + AIR
                line[end] = (icon + (side if line[after][0] > icon else -side), line[end][1])
            yield _line(line, edge.kind, colour)
            for label in routes[str(n)]["labels"]:
                middle = label["x"] + label["width"] / 2
                yield _text(middle, label["y"] + TERM, edge.label, size=TERM, colour=colour)

    def _legend(self) -> Iterator[str]:
        x, y = self.frame[0], self.frame[3] + HEADER / 2 - 4
        if any(edge.kind == FAILURE for edge in self.edges):
            for kind, colour, text in ((FLOW, INK, "Event"), (FAILURE, RED, "Failed event")):
                yield _line([(x, y), (x + 30, y)], kind, colour)
                yield _text(x + 38, y + 4, [text], size=TERM, colour=GREY, anchor="start")
                x += _width(text, TERM) + 62
        if self.alarms:
            text = "CloudWatch alarm" + f", sent to {self.told}" * bool(self.told)
            yield self._badge(x + 11, y, 1)
            yield _text(x + 28, y + 4, [text], size=TERM, colour=GREY, anchor="start")


@cache
def _engine(root: Path, _process: int) -> Any:
    """ELK, which answers a line with a line. It lasts as long as we do: to start it takes long."""
    # The project's own Node is beside its Python.
    node = shutil.which("node", path=str(Path(sys.executable).parent)) or "node"
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [node, "-e", RUN_ELK], cwd=root, stdin=pipe, stdout=pipe, stderr=pipe, encoding="utf-8"
    )


def _elk(request: dict[str, Any]) -> dict[str, Any]:
    """The request, with a place for everything."""
    engine = _engine(ROOT, os.getpid())  # a fork has none
    print(json.dumps(request), file=engine.stdin, flush=True)
    if not (answer := engine.stdout.readline()):
        _engine.cache_clear()
        raise RuntimeError(f"The layout failed; is `npm ci` done?\n{engine.stderr.read()}")
    result: dict[str, Any] = json.loads(answer)
    return result


def _heading(title: str, room: float) -> list[str]:
    """A title in lines that fit, broken between two flows."""
    lines: list[str] = []
    for part in re.split("(?<=;) ", title):
        longer = " ".join([*lines[-1:], part])
        lines[-1:] = [longer] if _width(longer, TITLE, bold=True) <= room else [*lines[-1:], part]
    return lines


def _wrap(text: str, chars: int) -> list[str]:
    """A text in lines of so many characters; a longer word is whole."""
    return textwrap.wrap(text, chars, break_on_hyphens=False, break_long_words=False)


def _width(text: str, size: int, *, bold: bool = False) -> float:
    """About how wide a text is, in the widest of the fonts (DejaVu Sans)."""
    narrow, wide = "fijlrtIJ.,:;|!'()[]/ -", "mwMWGOQ@%→⇢"
    units = sum(
        0.35 if c in narrow else 0.88 if c in wide else 0.62 + c.isupper() / 12 for c in text
    )
    return round(units * size * (1.13 if bold else 1), 1)


def _head(colour: str) -> str:
    """The id of an arrow head."""
    return {INK: FLOW, RED: FAILURE}.get(colour, f"{FLOW}-{colour[1:]}")


def _line(points: Sequence[tuple[float, float]], kind: str, colour: str) -> str:
    """An arrow along right-angled lines, with rounded corners."""
    path = f"M{_n(points[0][0])} {_n(points[0][1])}"
    for before, at, after in zip(points, points[1:], points[2:], strict=False):
        near, far = _towards(at, before), _towards(at, after)
        path += f"L{near}Q{_n(at[0])} {_n(at[1])} {far}"
    path += f"L{_n(points[-1][0])} {_n(points[-1][1])}"
    head = _head(colour)
    return (
        f'<path class="{kind}" d="{path}" fill="none" stroke="{colour}" stroke-width="1.4"'
        + ' stroke-dasharray="5 4"' * (kind == FAILURE)
        + f' marker-start="url(#{head})"' * (kind == BOTH)
        + f' marker-end="url(#{head})"/>'
    )


def _towards(start: tuple[float, float], end: tuple[float, float], distance: float = 6) -> str:
    dx, dy = end[0] - start[0], end[1] - start[1]
    share = min(0.5, distance / max(abs(dx), abs(dy), 0.1))
    return f"{_n(start[0] + dx * share)} {_n(start[1] + dy * share)}"


def _text(
    x: float, y: float, lines: Sequence[str], *,
    size: int, weight: int = 400, colour: str = INK, anchor: str = "middle",
) -> str:  # fmt: skip
    return "".join(
        f'<text x="{_n(x)}" y="{_n(y + n * (size + LEADING))}" font-size="{size}" '
        f'font-weight="{weight}" fill="{colour}" text-anchor="{anchor}">{escape(line)}</text>'
        for n, line in enumerate(lines)
    )


def _n(value: float) -> str:
    return f"{round(value, 1):g}"
