"""The report's look: one style sheet and one small script, both inside the page. No fonts, no requests."""

from __future__ import annotations

CSS = """
:root{color-scheme:light dark;--bg:#f5f6f8;--card:#fff;--ink:#14181f;--soft:#5c6675;--line:#e3e7ed;--accent:#2b5fd9;
  --accent2:#8f9bb0;--gain:#0a8a5b;--loss:#c8324a;--warn:#b26a00;--warnbg:#fff4dc;--calm:#cfe5dc;--turbulent:#e59a3c;
  --shade:#2b5fd914;--code:#f0f2f6}
@media (prefers-color-scheme:dark){
:root{--bg:#0e1116;--card:#171c24;--ink:#e8ecf2;--soft:#98a3b5;--line:#2a313c;--accent:#7aa2ff;--accent2:#6b778a;--gain:#3ecb8f;
  --loss:#ff6f84;--warn:#ffc45c;--warnbg:#33270f;--calm:#22463a;--turbulent:#c27a22;--shade:#7aa2ff1c;--code:#1f2630}
}
*{box-sizing:border-box}
html{scroll-behavior:smooth;-webkit-text-size-adjust:100%}
body{margin:0;background:var(--bg);color:var(--ink);
  font:15px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
main,header>div,footer{max-width:1180px;margin:0 auto;padding:0 20px}
.sample{background:var(--warnbg);color:var(--warn);text-align:center;padding:8px 16px;font-weight:600;letter-spacing:.02em}
.sample b{letter-spacing:.12em}
header{background:var(--card);border-bottom:1px solid var(--line)}
header>div{padding-top:26px;padding-bottom:0}
.over{color:var(--soft);font-size:13px;letter-spacing:.06em;text-transform:uppercase;margin:0}
h1{font-size:30px;line-height:1.2;margin:2px 0 6px;letter-spacing:-.02em}
.sub{color:var(--soft);margin:0 0 16px}
nav{display:flex;gap:20px;overflow-x:auto;scrollbar-width:none}
nav a{color:var(--soft);text-decoration:none;padding:9px 0;white-space:nowrap;font-size:14px}
nav a:hover{color:var(--accent)}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;margin:22px 0}
.tile{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:14px 16px}
.tile b{display:block;font-size:26px;line-height:1.2;letter-spacing:-.02em;font-variant-numeric:tabular-nums}
.tile span{color:var(--soft);font-size:13px}
section{background:var(--card);border:1px solid var(--line);border-radius:14px;padding:20px 22px 22px;margin:0 0 20px;
  scroll-margin-top:12px}
h2{font-size:19px;margin:0 0 4px;letter-spacing:-.01em}
h3{font-size:15px;margin:22px 0 8px}
.lead{color:var(--soft);margin:0 0 14px;max-width:78ch}
.empty{color:var(--soft);margin:8px 0}
.scroll{overflow-x:auto;margin:0 -6px;padding:0 6px}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:14px}
th{font-weight:600;color:var(--soft);font-size:12px;text-align:right;padding:6px 10px;border-bottom:1px solid var(--line);
  white-space:nowrap}
th[title]{text-decoration:underline dotted;text-underline-offset:3px;cursor:help}
td{text-align:right;padding:7px 9px;border-bottom:1px solid var(--line);white-space:nowrap;vertical-align:top}
th.left,td.left{text-align:left}
tbody tr:last-child td{border-bottom:0}
tbody tr:hover td{background:var(--shade)}
th:first-child,td:first-child{padding-left:2px}
.none{color:var(--soft)}
.gain{color:var(--gain)}
.loss{color:var(--loss)}
.badge{display:inline-block;border-radius:99px;padding:1px 9px;font-size:12px;font-weight:600;background:var(--code);
  color:var(--soft);white-space:nowrap}
.badge.promoted,.badge.active,.badge.validated,.badge.long{background:color-mix(in srgb,var(--gain) 16%,transparent);
  color:var(--gain)}
.badge.watchlist,.badge.probation,.badge.incubating{background:color-mix(in srgb,var(--warn) 18%,transparent);color:var(--warn)}
.badge.rejected,.badge.short{background:color-mix(in srgb,var(--loss) 14%,transparent);color:var(--loss)}
code{font:12.5px/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
details summary{cursor:pointer;list-style:none}
details summary::-webkit-details-marker{display:none}
details summary code::after{content:" ▸";color:var(--soft)}
details[open] summary code::after{content:" ▾"}
pre{background:var(--code);border-radius:8px;padding:10px 12px;margin:8px 0;white-space:pre-wrap;overflow-wrap:anywhere;
  text-align:left;font:12.5px/1.55 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
td pre{min-width:340px;max-width:560px}
.answer{border-left:4px solid var(--accent);background:var(--shade);border-radius:0 10px 10px 0;padding:12px 16px;margin:0 0 16px}
.answer b{font-size:16px}
.answer p{margin:4px 0 0}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(290px,1fr));gap:14px}
.card{border:1px solid var(--line);border-radius:12px;padding:14px 16px;min-width:0}
.card h4{margin:0 0 6px;font-size:14px;display:flex;justify-content:space-between;gap:8px;align-items:center}
.card ul{margin:8px 0 0;padding-left:0;list-style:none;font-size:14px}
.card li{padding-left:20px;position:relative;margin:3px 0}
.card li::before{position:absolute;left:0;font-weight:700}
.lacks li::before{content:"✕";color:var(--loss)}
.has li::before{content:"✓";color:var(--gain)}
.legend{display:flex;flex-wrap:wrap;gap:4px 18px;font-size:13px;color:var(--soft);margin:4px 0 8px}
.key::before{content:"";display:inline-block;width:14px;height:3px;border-radius:2px;margin-right:7px;vertical-align:middle;
  background:var(--c)}
.c1{--c:var(--accent)}
.c2{--c:var(--accent2)}
.c3{--c:var(--gain)}
.c4{--c:var(--loss)}
.chart{position:relative;margin:0 0 34px;border-bottom:1px solid var(--line)}
.chart svg{position:absolute;inset:0;width:100%;height:100%;overflow:visible}
.chart path{vector-effect:non-scaling-stroke;fill:none}
.chart .line{stroke:var(--c);stroke-width:1.8;stroke-linejoin:round}
.chart .area{fill:var(--c);opacity:.16}
.chart .grid{stroke:var(--line);stroke-width:1}
.shade{fill:var(--shade)}
.calm{fill:var(--calm)}
.chart .turbulent{fill:var(--turbulent)}
.strip svg{border-radius:6px;overflow:hidden}
.chart span{position:absolute;font-size:11.5px;color:var(--soft);pointer-events:none}
.chart .y{left:2px;transform:translateY(-105%);background:color-mix(in srgb,var(--card) 70%,transparent);padding:0 3px;
  border-radius:3px}
.card .none{font-size:13.5px}
.chart .y.under{transform:none}
.chart .x{top:100%;transform:translateX(-50%);padding-top:4px}
.chart .mark{top:2px;padding-left:6px;color:var(--accent);font-weight:600;white-space:nowrap}
.chart .cursor{top:0;bottom:0;width:1px;background:var(--soft);padding:0}
.tip{position:absolute;top:6px;background:var(--ink);color:var(--bg);border-radius:8px;padding:6px 10px;font-size:12px;
  line-height:1.5;pointer-events:none;white-space:nowrap;z-index:2}
.heat td{text-align:center;padding:6px 4px;font-size:13px}
.heat th{text-align:center;padding:6px 4px}
.heat td.g{background:color-mix(in srgb,var(--gain) calc(var(--v)*60%),transparent)}
.heat td.l{background:color-mix(in srgb,var(--loss) calc(var(--v)*60%),transparent)}
.heat td.left,.heat th.left{text-align:left;font-weight:600}
.bar{display:inline-block;width:60px;height:7px;border-radius:4px;background:var(--code);vertical-align:middle;margin-right:8px;
  overflow:hidden}
.bar i{display:block;height:100%;background:var(--accent);border-radius:4px}
.barlabel{display:inline-block;min-width:34px}
.rows{display:grid;grid-template-columns:max-content 1fr max-content;gap:7px 14px;align-items:center;
  font-variant-numeric:tabular-nums;font-size:14px}
.rows>:nth-child(3n){text-align:right}
.track{position:relative;height:14px;background:linear-gradient(var(--line),var(--line)) center/1px 100% no-repeat}
.track::before{content:"";position:absolute;left:0;right:0;top:50%;height:1px;background:var(--line)}
.track i{position:absolute;top:2px;bottom:2px;border-radius:3px}
.track i.gain{background:var(--gain)}
.track i.loss{background:var(--loss)}
.track b{position:absolute;top:5px;height:4px;border-radius:2px;background:var(--accent2);opacity:.55}
.track u{position:absolute;top:2px;width:10px;height:10px;margin-left:-5px;border-radius:50%;border:2px solid var(--card)}
.track u.gain{background:var(--gain)}
.track u.loss{background:var(--loss)}
dl{display:grid;grid-template-columns:max-content 1fr;gap:6px 18px;margin:8px 0 0;font-size:14px}
dt{font-weight:600}
dd{margin:0;color:var(--soft)}
@media (max-width:560px){
dl{grid-template-columns:1fr;gap:0}
dd{margin-bottom:8px}
h1{font-size:24px}
section{padding:16px 14px 18px;border-radius:12px}
main,header>div,footer{padding-left:12px;padding-right:12px}
.tile b{font-size:22px}
.tiles{grid-template-columns:1fr 1fr}
}
footer{color:var(--soft);font-size:13px;padding-top:6px;padding-bottom:40px}
footer b{color:var(--ink)}
@media print{
nav,.tip,.cursor{display:none}
body{background:#fff}
section{break-inside:avoid}
}
"""

# Shows the values under the pointer. The page reads complete without it.
SCRIPT = """
document.querySelectorAll('.chart').forEach(function(chart){
var data=JSON.parse(chart.querySelector('script').textContent),n=data.days.length,t0=Date.parse(data.days[0]),t1=Date.parse(data.days[n-1]);
var cursor=document.createElement('span'),tip=document.createElement('div');cursor.className='cursor';tip.className='tip';
function hide(){cursor.remove();tip.remove()}
chart.addEventListener('pointerleave',hide);
chart.addEventListener('pointermove',function(event){
var box=chart.getBoundingClientRect(),share=Math.min(1,Math.max(0,(event.clientX-box.left)/box.width)),time=t0+share*(t1-t0),a=0,b=n-1;
while(b-a>1){var m=(a+b)>>1;if(Date.parse(data.days[m])<=time)a=m;else b=m}
if(Date.parse(data.days[b])-time<time-Date.parse(data.days[a]))a=b;
var left=(Date.parse(data.days[a])-t0)/(t1-t0)*100;cursor.style.left=left+'%';
tip.textContent='';[data.days[a]].concat(data.lines.map(function(l){return l[0]+'  '+l[1][a]})).forEach(function(line){
var row=document.createElement('div');row.textContent=line;tip.appendChild(row)});
tip.style.left=left>60?'auto':'calc('+left+'% + 10px)';tip.style.right=left>60?'calc('+(100-left)+'% + 10px)':'auto';
chart.appendChild(cursor);chart.appendChild(tip)})});
"""
