"""The bar chart of the README: time per operation relative to Go, and then to others; one bar for each workload and count of procs.

Plain SVG, readable on light and dark pages: it brings its own ground and follows prefers-color-scheme.
"""
from html import escape

WIDTH, LEFT, RIGHT, TOP = 760, 146, 64, 74
BAR, GAP, GROUP_GAP, SECTION_GAP = 11, 2, 11, 44
LONGEST = 1.5  # bars that would be longer are cut, and their figure says so

STYLE = """
  .ground { fill: #ffffff; stroke: #d8dee4; }
  text { font: 12px system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; fill: #1f2328; }
  .title { font-size: 15px; font-weight: 600; }
  .quiet { fill: #59636e; font-size: 11px; }
  .figure { paint-order: stroke; stroke: #ffffff; stroke-width: 3px; }
  .grid { stroke: #d8dee4; }
  .go { stroke: #1f2328; stroke-width: 1.5; }
  .p0 { fill: #0969da; } .p1 { fill: #8250df; } .p2 { fill: #1a7f37; } .p3 { fill: #9a6700; }
  @media (prefers-color-scheme: dark) {
    .ground { fill: #0d1117; stroke: #3d444d; }
    text { fill: #f0f6fc; }
    .quiet { fill: #9198a1; }
    .figure { stroke: #0d1117; }
    .grid { stroke: #3d444d; }
    .go { stroke: #f0f6fc; }
    .p0 { fill: #4493f8; } .p1 { fill: #ab7df8; } .p2 { fill: #3fb950; } .p3 { fill: #d29922; }
  }"""


def svg(sections, procs, title, subtitle, footer):
    """sections: [(whose time is 1, [(name, {procs: relative time})])]. procs: the counts, each with a colour of its own."""
    longest = min(LONGEST, max([1.0, *(v for _, rows in sections for _, values in rows for v in values.values())])) * 1.02
    plot = WIDTH - LEFT - RIGHT

    def x(value):
        return round(LEFT + plot * min(value, longest) / longest, 1)

    grid, bars, marks, figures, y = [], [], [], [], TOP
    for one, rows in sections:
        first = y
        for name, values in rows:
            top = y
            for p in procs:
                if p not in values:
                    continue
                v = values[p]
                over = " (cut)" if v > longest else ""
                bars.append(f'<rect class="p{procs.index(p) % 4}" x="{LEFT}" y="{y}" width="{max(1, round(x(v) - LEFT, 1))}" height="{BAR}" rx="1.5">'
                            f"<title>{escape(name)}, procs {p}: {v:.2f} of the time of {escape(one)}</title></rect>")
                figures.append(f'<text class="quiet figure" x="{x(v) + 5}" y="{y + BAR - 2}">{v:.2f}{over}</text>')
                y += BAR + GAP
            y -= GAP
            bars.append(f'<text x="{LEFT - 10}" y="{(top + y) / 2 + 4:.1f}" text-anchor="end">{escape(name)}</text>')
            y += GROUP_GAP
        bottom = y - GROUP_GAP + 6
        grid += [f'<line class="grid" x1="{x(v)}" y1="{first - 6}" x2="{x(v)}" y2="{bottom}"/>'
                 f'<text class="quiet" x="{x(v)}" y="{bottom + 14}" text-anchor="middle">{v:g}</text>'
                 for v in (0, 0.25, 0.5, 0.75, 1.25, 1.5) if v <= longest]
        marks += [f'<line class="go" x1="{x(1)}" y1="{first - 6}" x2="{x(1)}" y2="{bottom}"/>',
                  f'<text x="{x(1)}" y="{first - 11}" text-anchor="middle">{escape(one)}</text>',
                  f'<text class="quiet" x="{x(1)}" y="{bottom + 14}" text-anchor="middle">1</text>']
        y = bottom + SECTION_GAP
    height = y - SECTION_GAP + 40

    legend = []
    for i, p in enumerate(procs):
        lx = LEFT + 84 * i
        legend += [f'<rect class="p{i % 4}" x="{lx}" y="{TOP - 21}" width="10" height="10" rx="1.5"/>',
                   f'<text class="quiet" x="{lx + 15}" y="{TOP - 12}">procs {p}</text>']
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title)}">',
        f"<style>{STYLE}\n</style>",
        f'<rect class="ground" x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="6"/>',
        f'<text class="title" x="16" y="26">{escape(title)}</text>',
        f'<text class="quiet" x="16" y="43">{escape(subtitle)}</text>',
        *legend, *grid, *bars, *marks, *figures,
        f'<text class="quiet" x="16" y="{height - 9}">{escape(footer)}</text>',
        "</svg>", ""])
