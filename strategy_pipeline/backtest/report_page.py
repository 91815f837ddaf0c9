"""The look of a strategy's report: style sheet, script, and how numbers are written.

What belongs here: the page around the sections, with the drawing library inside it, so that the file needs nothing else.
What does not: what a section says (`report`).
"""

from __future__ import annotations

import html
import json
import math
from collections.abc import Sequence
from typing import Any

NOTHING = '<span class="soft">–</span>'

CSS = """
:root{color-scheme:light dark;--bg:#f5f6f8;--card:#fff;--ink:#14181f;--soft:#5c6675;--line:#e3e7ed;--accent:#2b5fd9;
  --accent2:#8f9bb0;--gain:#0a8a5b;--loss:#c8324a;--warn:#b26a00;--warnbg:#fff4dc;--shade:#2b5fd914;--code:#f0f2f6}
@media (prefers-color-scheme:dark){:root{--bg:#0e1116;--card:#171c24;--ink:#e8ecf2;--soft:#98a3b5;--line:#2a313c;--accent:#7aa2ff;
  --accent2:#6b778a;--gain:#3ecb8f;--loss:#ff6f84;--warn:#ffc45c;--warnbg:#33270f;--shade:#7aa2ff1c;--code:#1f2630}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);font:15px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,Arial,sans-serif}
main,header>div{max-width:1180px;margin:0 auto;padding:0 20px}
.sample{background:var(--warnbg);color:var(--warn);text-align:center;padding:8px 16px;font-weight:600}
header{background:var(--card);border-bottom:1px solid var(--line)}
header>div{padding-top:24px;padding-bottom:18px}
.over{color:var(--soft);font-size:13px;letter-spacing:.06em;text-transform:uppercase;margin:0}
h1{font-size:28px;line-height:1.2;margin:2px 0 4px;letter-spacing:-.02em}
h2{font-size:19px;margin:0 0 2px;letter-spacing:-.01em}
h3{font-size:15px;margin:20px 0 6px}
p{margin:4px 0}
.soft,.lead{color:var(--soft)}
.lead{margin:0 0 8px;max-width:86ch}
pre{background:var(--code);border-radius:10px;padding:12px 14px;margin:12px 0 0;white-space:pre-wrap;overflow-wrap:anywhere;
  font:13.5px/1.6 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(158px,1fr));gap:12px;margin:20px 0}
.tile{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:13px 16px}
.tile b{display:block;font-size:25px;line-height:1.25;letter-spacing:-.02em;font-variant-numeric:tabular-nums;white-space:nowrap}
.tile>span{color:var(--soft);font-size:13px}
.tile small{display:block;color:var(--soft);font-size:12.5px}
section{background:var(--card);border:1px solid var(--line);border-radius:14px;padding:18px 22px 20px;margin:0 0 18px}
.gain{color:var(--gain)}.loss{color:var(--loss)}
.two{display:grid;grid-template-columns:minmax(0,1.55fr) minmax(0,1fr);gap:26px}
@media (max-width:860px){.two{grid-template-columns:1fr}}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:14px}
th{font-weight:600;color:var(--soft);font-size:12px;text-align:right;padding:6px 9px;border-bottom:1px solid var(--line);white-space:nowrap}
td{text-align:right;padding:6px 9px;border-bottom:1px solid var(--line);white-space:nowrap}
th:first-child,td:first-child{text-align:left;padding-left:2px}
tbody tr:last-child td{border-bottom:0}
tr.group td{color:var(--soft);font-size:12px;font-weight:600;padding-top:14px}
.heat td,.heat th{text-align:center;padding:6px 4px;font-size:13px}
.heat td:first-child,.heat th:first-child{text-align:left;font-weight:600}
.heat td.g{background:color-mix(in srgb,var(--gain) calc(var(--v)*60%),transparent)}
.heat td.l{background:color-mix(in srgb,var(--loss) calc(var(--v)*60%),transparent)}
.chart{width:100%}
.chart[hidden]{display:none}
.rangeslider-mask-min,.rangeslider-mask-max{fill:var(--soft)!important;fill-opacity:.22!important}
.side td:first-child{white-space:normal;line-height:1.35}
.side td{padding:7px 4px}
.side .soft{font-size:12.5px}
select{font:inherit;font-size:14px;color:var(--ink);background:var(--code);border:1px solid var(--line);border-radius:8px;padding:3px 8px}
.choose{margin:0 0 6px;text-align:right}
.score{display:inline-block;width:100%;height:8px;border-radius:5px;background:var(--code);overflow:hidden;margin:6px 0 10px}
.score i{display:block;height:100%;background:var(--accent)}
footer{max-width:1180px;margin:0 auto;padding:4px 20px 36px;color:var(--soft);font-size:13px}
@media print{section{break-inside:avoid}body{background:#fff}}
"""

# Draws each figure in the colours of the page; a colour written as a name of the style sheet ("--gain") is looked up. Where a
# figure asks for it, the prices seen fill the height whatever part of time is looked at.
SCRIPT = """
(function(){var style=getComputedStyle(document.documentElement);
function fill(v){if(typeof v==='string'&&v.slice(0,2)==='--'){var p=v.split('/'),c=style.getPropertyValue(p[0]).trim();
if(!p[1])return c;var n=parseInt(c.slice(1,7),16);return'rgba('+(n>>16)+','+(n>>8&255)+','+(n&255)+','+p[1]+')'}
if(Array.isArray(v)){return typeof v[0]==='number'?v:v.map(fill)}
if(v&&typeof v==='object'){var o={};Object.keys(v).forEach(function(k){o[k]=fill(v[k])});return o}return v}
function draw(div){if(div.hidden||div.dataset.drawn)return;div.dataset.drawn=1;
var f=fill(JSON.parse(document.getElementById(div.id+'-data').textContent));
Plotly.newPlot(div,f.data,f.layout,{responsive:true,displayModeBar:false});if(f.follow)follow(div,f.data[0])}
function moment(v){v=String(v);return Date.parse(v.length>10?v.slice(0,19).replace(' ','T')+'Z':v)}
function follow(div,line){var first=moment(line.x0);div.on('plotly_relayout',function(e){
var r=e['xaxis.range']||('xaxis.range[0]' in e?[e['xaxis.range[0]'],e['xaxis.range[1]']]:e['xaxis.autorange']?[]:null);if(!r)return;
var a=r.length?Math.max(0,Math.floor((moment(r[0])-first)/line.dx)):0;
var b=r.length?Math.min(line.y.length,Math.ceil((moment(r[1])-first)/line.dx)):line.y.length;
var seen=line.y.slice(a,b).filter(function(v){return v!==null}),low=Math.min.apply(null,seen),high=Math.max.apply(null,seen);
if(high>low)Plotly.relayout(div,{'yaxis.range':[low-.06*(high-low),high+.06*(high-low)]})})}
document.querySelectorAll('.chart').forEach(draw);
document.querySelectorAll('select').forEach(function(choice){choice.addEventListener('change',function(){
Array.prototype.forEach.call(choice.options,function(option){var div=document.getElementById(option.value);
div.hidden=option.value!==choice.value;draw(div);if(!div.hidden)Plotly.Plots.resize(div)})})})})();
"""

AXIS = {"gridcolor": "--line", "zerolinecolor": "--line", "linecolor": "--line", "tickcolor": "--line", "automargin": True}


def page(title: str, header: str, body: str, footer: str) -> str:
    """The whole file: style, sections, the drawing library, the script."""
    from plotly.offline import get_plotlyjs

    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<title>{html.escape(title)}</title><link rel="icon" href="data:,"><style>{CSS}</style></head>\n<body>{header}\n'
        f"<main>{body}</main>\n<footer>{footer}</footer>\n<script>{get_plotlyjs()}</script>\n<script>{SCRIPT}</script></body></html>\n"
    )


def figure(
    key: str, traces: Sequence[dict[str, Any]], layout: dict[str, Any], *, height: int, hidden: bool = False, follow: bool = False
) -> str:
    """A chart: its place on the page, and its data as JSON beside it; a `hidden` one waits for `choice` to show it, one that
    should `follow` keeps the height of its first trace to the part of time that is looked at."""
    whole = {
        "margin": {"l": 52, "r": 14, "t": 8, "b": 34},
        "height": height,
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": "system-ui,-apple-system,Segoe UI,Roboto,Arial,sans-serif", "size": 12, "color": "--soft"},
        "hovermode": "x unified",
        "hoverlabel": {"bgcolor": "--card", "bordercolor": "--line", "font": {"color": "--ink"}},
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "font": {"color": "--soft"}},
        **layout,
    }
    data = json.dumps({"data": list(traces), "layout": whole, "follow": follow}, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    # "</script" or "<!--" in a name would change where the script element ends.
    data = data.replace("<", "\\u003c")
    hide = " hidden" if hidden else ""
    drawn = f'<div class="chart" id="{key}" style="height:{height}px"{hide}></div>'
    return f'{drawn}<script type="application/json" id="{key}-data">{data}</script>'


def choice(options: Sequence[tuple[str, str]]) -> str:
    """A list to choose from which of some charts, (key, name) each, is shown; nothing for one."""
    if len(options) < 2:
        return ""
    listed = "".join(f'<option value="{key}">{html.escape(name)}</option>' for key, name in options)
    return f'<div class="choose"><select>{listed}</select></div>'


def numbers(values: Any, digits: int = 6) -> list[float | None]:
    """Floats to so many significant digits, for JSON; what is undefined is null."""
    return [float(f"{value:.{digits}g}") if math.isfinite(value) else None for value in values]


def percent(value: Any, digits: int = 1, *, sign: bool = False, tint: bool = False) -> str:
    if value is None or not math.isfinite(value):
        return NOTHING
    shown = _minus(f"{100 * value:{'+' if sign else ''},.{digits}f}") + "&#8239;%"
    if not tint or round(100 * value, digits) == 0:
        return shown
    return f'<span class="{"gain" if value > 0 else "loss"}">{shown}</span>'


def number(value: Any, digits: int = 2) -> str:
    return NOTHING if value is None or not math.isfinite(value) else _minus(f"{value:,.{digits}f}")


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, classes: str = "") -> str:
    """Cells are HTML; a row of one cell is a heading within the table."""
    top = "".join(f"<th>{html.escape(name)}</th>" for name in head)
    lines = [
        f'<tr class="group"><td colspan="{len(head)}">{row[0]}</td></tr>'
        if len(row) == 1 and len(head) > 1
        else "<tr>" + "".join(cell if cell.startswith("<td") else f"<td>{cell}</td>" for cell in row) + "</tr>"
        for row in rows
    ]
    return f'<div class="scroll"><table class="{classes}"><thead><tr>{top}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'


def section(title: str, body: str, lead: str = "") -> str:
    return f"<section><h2>{html.escape(title)}</h2>" + (f'<p class="lead">{lead}</p>' if lead else "") + f"{body}</section>\n"


def _minus(shown: str) -> str:
    if shown.startswith(("-", "+")) and not shown.strip("+-0.,"):
        shown = shown[1:]
    return shown.replace("-", "−")
