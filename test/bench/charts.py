"""Charts of a run as SVG files that can be read on light and on dark pages.

Two kinds are drawn: bars that lie, in groups, and lines over steps.  CHARTS says which rows go into which
file; a file whose rows were not measured is not written.
"""
from html import escape

WIDTH, RIGHT, TOP_MARGIN, FOOT = 760, 60, 62, 30
BAR, GAP = 13, 9
STYLE = """
text { font: 12px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2328 }
.title { font-size: 15px; font-weight: 600 } .quiet { fill: #59636e } .strong { font-weight: 600 }
.page { fill: #ffffff } .grid { stroke: #d8dee4 } .whisker { stroke: #1f2328; stroke-opacity: .55 }
.goal { stroke: #c2410c; stroke-dasharray: 4 3; stroke-width: 1.5 } .goaltext { fill: #c2410c }
.f0 { fill: #2f6fde } .f1 { fill: #8fb4f0 } .f2 { fill: #d08a1d } .f3 { fill: #3c9a6a }
.l0 { stroke: #2f6fde } .l1 { stroke: #8a5bd6 } .l2 { stroke: #d08a1d } .l3 { stroke: #3c9a6a }
.l0, .l1, .l2, .l3 { fill: none; stroke-width: 2.2 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .quiet { fill: #9198a1 } .page { fill: #0d1117 } .grid { stroke: #30363d }
.whisker { stroke: #e6edf3 } .goal { stroke: #fb923c } .goaltext { fill: #fb923c }
.f0 { fill: #5b95f5 } .f1 { fill: #2b4d85 } .f2 { fill: #e0a647 } .f3 { fill: #5fbf8f }
.l0 { stroke: #5b95f5 } .l1 { stroke: #b794f4 } .l2 { stroke: #e0a647 } .l3 { stroke: #5fbf8f }
}
"""


def step_of(top):
    """A round distance of grid lines, four to eight of them."""
    step = 10.0 ** -3
    while True:
        for nice in (1, 2, 2.5, 5):
            if top / (step * nice) <= 8:
                return step * nice
        step *= 10


def text(x, y, words, style="", anchor="start"):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{style}">{escape(str(words))}</text>'


def line(x1, y1, x2, y2, style):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{style}"/>'


def figure(x):
    return f"{x:.0f}" if x >= 100 else f"{x:.1f}" if x >= 10 else f"{x:.2f}"


def page(title, subtitle, height, parts):
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'role="img" aria-label="{escape(title, quote=True)}">', f"<style>{STYLE}</style>",
        f'<rect class="page" width="{WIDTH}" height="{height}" rx="8"/>',
        text(16, 25, title, "title"), text(16, 44, subtitle, "quiet"), *parts, "</svg>", ""])


def legend(series, y):
    parts, x = [], WIDTH - 16 - sum(26 + 7 * len(s) for s in series)
    for i, name in enumerate(series):
        parts += [f'<rect x="{x}" y="{y - 9}" width="10" height="10" rx="2" class="f{i}"/>',
                  text(x + 15, y, name, "quiet")]
        x += 26 + 7 * len(name)
    return parts


def bars(title, subtitle, series, groups, goals=(), most=1e9):
    """groups: [(label, {series: (value, low, high)})].  Lying bars with whiskers, cut at `most`; goals: dashed lines."""
    top = min(max([v[2] for _, values in groups for v in values.values()] + list(goals)) * 1.04, most)
    left = 30 + max((7.4 if label.startswith("OSS") else 6.6) * len(label) for label, _ in groups)
    scale = (WIDTH - left - RIGHT) / top
    height = TOP_MARGIN + FOOT + sum(BAR * len(v) + GAP for _, v in groups)
    parts, step, y = [], step_of(top), TOP_MARGIN
    for i in range(int(top / step) + 1):
        x = left + i * step * scale
        parts += [line(x, TOP_MARGIN - 4, x, height - FOOT, "grid"),
                  text(x, height - FOOT + 16, f"{i * step:g}", "quiet", "middle")]
    for label, values in groups:
        parts.append(text(left - 10, y + BAR * len(values) / 2 + 4, label, "strong" if label.startswith("OSS") else "", "end"))
        for name, (value, low, high) in values.items():
            middle, shown = y + BAR / 2, figure(value)
            value, low, high = (min(v, top) for v in (value, low, high))
            parts += [f'<rect x="{left:.1f}" y="{y + 1:.1f}" width="{value * scale:.1f}" height="{BAR - 2}" rx="2" '
                      f'class="f{series.index(name)}"/>']
            if high > low:
                parts += [line(left + low * scale, middle, left + high * scale, middle, "whisker")]
            parts.append(text(left + max(value, high) * scale + 5, middle + 4, shown, "quiet"))
            y += BAR
        y += GAP
    for goal in goals:
        x = left + goal * scale
        parts += [line(x, TOP_MARGIN - 4, x, height - FOOT, "goal"),
                  text(x, height - FOOT + 28, f"{goal:g}", "goaltext", "middle")]
    return page(title, subtitle, height + (6 if goals else 0), parts + (legend(series, 44) if len(series) > 1 else []))


def lines(title, subtitle, steps, series):
    """series: {name: {step: value}} over evenly spaced steps."""
    height, left, bottom = 340, 60, 284
    top = max(v for values in series.values() for v in values.values()) * 1.08
    across, up, step = (WIDTH - left - 40) / max(len(steps) - 1, 1), (bottom - TOP_MARGIN) / top, step_of(top)
    parts = []
    for i in range(int(top / step) + 1):
        y = bottom - i * step * up
        parts += [line(left, y, WIDTH - 40, y, "grid"), text(left - 8, y + 4, f"{i * step:g}", "quiet", "end")]
    parts += [text(left + i * across, bottom + 20, s, "quiet", "middle") for i, s in enumerate(steps)]
    for i, values in enumerate(series.values()):
        points = [(left + steps.index(s) * across, bottom - v * up) for s, v in values.items()]
        parts.append(f'<polyline class="l{i}" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" class="l{i}"/>' for x, y in points]
    names = "".join(f'<rect x="{left + 10 + i * 165}" y="{height - 12}" width="12" height="3" class="l{i}"/>'
                    + text(left + 28 + i * 165, height - 7, name, "quiet") for i, name in enumerate(series))
    return page(title, subtitle, height, [*parts, names])


# ---- which rows go where ---------------------------------------------------------------------------------

def of_set(results, name, **at):
    return [r for r in results["rows"] if r["set"] == name and all(r["at"].get(k) == v for k, v in at.items())]


def ratio(row):
    return row["ratio"], *row["spread"]


def cold(results):
    rows = of_set(results, "cold")
    if not rows:
        return None
    most = 64 if any(r["at"]["connections"] == 64 for r in rows) else max(r["at"]["connections"] for r in rows)
    groups = {}
    for r in rows:
        if r["at"]["connections"] == most:
            label = f"{r['at']['protocol'].upper()}, {r['at']['reader']}"
            groups.setdefault(label, {})[r["at"]["objects"]] = ratio(r)
    return bars("Cold read, as a share of the limit program",
                f"{most} connections; lines: the goals under preload and through the C API",
                ["one object", "eight objects"], list(groups.items()), (0.85, 0.95))


def connections(results):
    series = {}
    for r in of_set(results, "cold", protocol="http", objects="one object"):
        series.setdefault(r["at"]["reader"], {})[r["at"]["connections"]] = r["ours"]
        series.setdefault("limit program", {}).setdefault(r["at"]["connections"], r["base"])
    steps = sorted({s for values in series.values() for s in values})
    # The limit is not one of ours: it comes last, and only four colours are apart enough.
    order = [n for n in ("C API map", "preloaded read", "preloaded mmap") if n in series] + ["limit program"]
    return lines("Cold read of one object, GB/s", "over so many connections, plain HTTP", steps,
                 {n: series[n] for n in order}) if len(steps) > 1 else None


def threads(results):
    groups = {}
    for r in of_set(results, "threads"):
        if "vcpus" in r["at"]:
            groups.setdefault(f"{r['at']['vcpus']} network threads", {})[r["at"]["objects"]] = (r["ours"], *r["ours_spread"])
    return bars("More network threads, GB/s", "64 connections in all, C API pread", ["one object", "eight objects"],
                list(groups.items())) if groups else None


def by_peer(results, ours, theirs):
    """{label: {objects: value}}, ours first, then by the peers' figures."""
    groups, mine = {}, {}
    for r in of_set(results, "peers"):
        mine[r["at"]["objects"]] = ours(r)
        groups.setdefault(r["at"]["peer"], {})[r["at"]["objects"]] = theirs(r)
    ordered = sorted(groups.items(), key=lambda g: -max(v[0] for v in g[1].values()))
    return [("OSS Connector, dd under preload", mine), *ordered] if groups else None


def peers(results):
    groups = by_peer(results, lambda r: (r["ours"], *r["ours_spread"]), lambda r: (r["base"], *r["base_spread"]))
    return bars("Cold read beside other ways to the same bytes, GB/s", "client and store share the cores",
                ["one object", "eight objects"], groups) if groups else None


def cpu(results):
    groups = by_peer(results, lambda r: (r["cpu"],) * 3, lambda r: (r["base_cpu"],) * 3)
    return bars("CPU seconds a GB", "of all that the client side needs: daemon, mount, reader",
                ["one object", "eight objects"], groups) if groups else None


def one_series(results, name, title, subtitle, goals=(), most=1e9, **at):
    groups = [(r["name"], {"": ratio(r)}) for r in of_set(results, name, **at)]
    return bars(title, subtitle, [""], groups, goals, most) if groups else None


def warm(results):
    return one_series(results, "warm", "What is at hand, as a ratio to a local file in the page cache",
                      "above 1 the library is the faster one; bars are cut at 6", (1.0,), most=6, kind="warm")


def delay(results):
    groups = [(f"{r['at']['per_connection']:.0f} MB/s, {r['at']['first_byte_ms']} ms", {"": ratio(r)})
              for r in of_set(results, "delay") if "per_connection" in r["at"]]
    return bars("A distant store and a card of 400 MB/s: share of what they allow",
                "rate of one connection, time to the first byte", [""], groups, (0.95,)) if groups else None


CHARTS = {"cold": cold, "connections": connections, "threads": threads, "peers": peers, "cpu": cpu, "warm": warm,
          "delay": delay}


def draw(results, folder):
    """Writes folder/NAME.svg for each chart that has rows."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, chart in CHARTS.items():
        svg = chart(results)
        if svg is not None:
            (folder / f"{name}.svg").write_text(svg)
