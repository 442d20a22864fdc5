"""The page's one style sheet: readable in light and in dark, and on paper."""

from typing import Final

STYLE: Final = """
:root{color-scheme:light dark;--ink:#1b1f24;--soft:#57606a;--paper:#fff;--panel:#f6f8fa;
--rule:#d0d7de;--baseline:#0969a8;--candidate:#c2510a;--good:#1a7f37;--bad:#cf222e;--doubt:#9a6700}
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--soft:#9aa5b1;--paper:#0d1117;
--panel:#161b22;--rule:#30363d;--baseline:#58a9e8;--candidate:#f0883e;--good:#3fb950;--bad:#ff7b72;
--doubt:#d29922}}
*{box-sizing:border-box}
body{font:15px/1.55 system-ui,sans-serif;color:var(--ink);background:var(--paper);
max-width:60rem;margin:2rem auto 4rem;padding:0 1.2rem}
h1{font-size:1.65rem;line-height:1.25;margin:.1rem 0 1rem}
h2{font-size:1.2rem;margin:2.4rem 0 .6rem}
h3{font-size:1rem;margin:0 0 .3rem}
p{margin:.4rem 0}
.over,.against,.note,.told,dt{color:var(--soft)}
.over{font-size:.85rem;letter-spacing:.04em}
.against{font-weight:400}
.note{font-size:.9rem}
.told{font-size:.85rem;margin:.2rem 0}
.name.baseline,.key.baseline{color:var(--baseline)}
.name.candidate,.key.candidate{color:var(--candidate)}
.facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(17rem,1fr));gap:.5rem 1.5rem;
margin:0;font-size:.92rem}
dd{margin:0}
td,th,dd,li,code,pre,p,h1 span{unicode-bidi:isolate;overflow-wrap:anywhere}
code,pre{font:13px/1.5 ui-monospace,monospace}
pre{white-space:pre-wrap;margin:.2rem 0 .7rem;padding:.5rem .7rem;background:var(--panel);
border-radius:5px;max-height:22rem;overflow:auto}
.warning{border-left:4px solid var(--doubt);padding:.3rem .8rem;background:var(--panel)}
.verdict{border-left:6px solid;padding:.5rem 1.1rem;margin:1.6rem 0;background:var(--panel)}
.verdict h2{margin:.2rem 0;font-size:1.35rem}
.verdict.pass,article.pass{border-color:var(--good)}.pass .badge,.verdict.pass h2{color:var(--good)}
.verdict.regression,article.regression{border-color:var(--bad)}
.regression .badge,.verdict.regression h2{color:var(--bad)}
.verdict.could_not_be_run,article.could_not_be_run{border-color:var(--doubt)}
.could_not_be_run .badge,.verdict.could_not_be_run h2{color:var(--doubt)}
.conditions{display:grid;gap:.8rem}
article{border-left:4px solid;padding:.3rem 0 .3rem 1rem}
article h3 code{font-size:14px}
.badge{font-size:.85rem;font-weight:600;margin-left:.6rem}
.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.9rem;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:.35rem .7rem .35rem 0;border-bottom:1px solid var(--rule);
vertical-align:top}
thead th{color:var(--soft);font-weight:500;white-space:nowrap}
tbody th{font-weight:500;min-width:13.5rem}
td small{display:block;color:var(--soft);white-space:nowrap}
svg{display:block;width:100%;height:auto;margin:.3rem 0 1rem}
svg text{fill:var(--ink);font:13px system-ui,sans-serif}
svg text.tick{fill:var(--soft);font-size:12px}
svg .grid{stroke:var(--rule);stroke-width:1}
svg .reference{stroke:var(--soft);stroke-width:1.5}
svg .limit{stroke:var(--bad);stroke-width:2.5}
svg .whisker{stroke-width:2.5}
svg line.baseline{stroke:var(--baseline)}svg line.candidate{stroke:var(--candidate)}
svg line.change{stroke:var(--ink)}
svg circle.baseline{fill:var(--baseline)}svg circle.candidate{fill:var(--candidate)}
svg circle.change{fill:var(--ink)}
svg .area{fill-opacity:.25;stroke-width:1.8}
svg .area.baseline{fill:var(--baseline);stroke:var(--baseline)}
svg .area.candidate{fill:var(--candidate);stroke:var(--candidate)}
svg .node{fill:var(--soft)}
svg .band{fill-opacity:.38}
svg .band.same{fill:var(--soft)}svg .band.better{fill:var(--good)}
svg .band.worse{fill:var(--bad)}svg .band.outage{fill:var(--doubt)}
.legend{font-size:.9rem;display:flex;flex-wrap:wrap;gap:.2rem 1.2rem}
.key::before{content:"";display:inline-block;width:.75em;height:.75em;border-radius:2px;
background:currentColor;margin-right:.4em}
.key.same{color:var(--soft)}.key.better{color:var(--good)}.key.worse{color:var(--bad)}
.key.outage{color:var(--doubt)}.key.limit{color:var(--bad)}
details{border-bottom:1px solid var(--rule);padding:.45rem 0}
summary{cursor:pointer;overflow-wrap:anywhere}
summary .lost,summary .first_shot_lost{color:var(--bad)}
summary .gained,summary .first_shot_gained{color:var(--good)}
summary span{font-weight:600;margin-right:.6rem}
.sides{display:grid;grid-template-columns:1fr 1fr;gap:0 1.4rem}
.sides>div{min-width:0}
.sides h4{margin:.7rem 0 .2rem;font-size:.92rem}
.sides ul{margin:.2rem 0 .8rem;padding-left:1.2rem;font-size:.9rem}
@media(max-width:44rem){.sides{grid-template-columns:1fr}}
@media print{pre{max-height:none}}
"""
