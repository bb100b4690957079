"""The style sheet of the reports: no fonts, pictures or other resources from elsewhere. Not here: the page (`report`)."""

STYLE = """
:root{--ink:#1b2430;--soft:#5b6877;--line:#e1e6ec;--paper:#fff;--ground:#f3f5f8;--blue:#1f5fa8;
--good:#1d6b35;--goodbg:#e6f4ea;--warn:#7a4b00;--warnbg:#fdf1d8;--bad:#9c1c16;--badbg:#fce8e6;--calm:#39424e;--calmbg:#eaeef3;--edge:#0002}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--ground);color:var(--ink);font:14px/1.5 "Inter","Segoe UI",-apple-system,BlinkMacSystemFont,
"Helvetica Neue",Arial,"Liberation Sans",sans-serif;font-variant-numeric:tabular-nums}
main{max-width:1160px;margin:0 auto;padding:28px 20px 48px}
header{display:flex;flex-wrap:wrap;gap:16px 32px;justify-content:space-between;align-items:flex-end;margin-bottom:16px}
h1{font-size:27px;line-height:1.2;margin:2px 0 4px;letter-spacing:-.01em}
h2{font-size:17px;margin:0 0 2px;letter-spacing:-.005em}
h3{font-size:13px;margin:18px 0 6px;color:var(--calm)}
p{margin:0 0 8px}
.eyebrow{font-size:11px;font-weight:600;letter-spacing:.1em;text-transform:uppercase;color:var(--blue)}
.soft,.lede{color:var(--soft)}
.lede{margin:0 0 14px;font-size:13px}
.verdict{border-radius:8px;padding:10px 18px;font-size:19px;font-weight:700;border:1px solid;line-height:1.25;text-align:right}
.verdict small{display:block;font-size:12px;font-weight:500}
.good{color:var(--good);background:var(--goodbg);border-color:#b7dfc2}
.warn{color:var(--warn);background:var(--warnbg);border-color:#f0d9a3}
.bad{color:var(--bad);background:var(--badbg);border-color:#f3c1bc}
.calm{color:var(--calm);background:var(--calmbg);border-color:#d3dae3}
.banner{border:1px solid #f0d9a3;border-left:5px solid #c98a00;background:var(--warnbg);color:#5c3a00;border-radius:6px;
padding:10px 16px;margin:0 0 16px}
.banner.bad{border-color:#f3c1bc;border-left-color:var(--bad);background:var(--badbg);color:var(--bad)}
.sentence{background:var(--paper);border:1px solid var(--line);border-left:5px solid var(--blue);border-radius:6px;
padding:12px 16px;margin:0 0 16px;font-size:15px}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(170px,1fr));gap:10px;margin:0 0 18px}
.tile{background:var(--paper);border:1px solid var(--line);border-radius:8px;padding:11px 14px}
.tile b{display:block;font-size:20px;line-height:1.3;letter-spacing:-.01em}
.tile>span{font-size:12px;color:var(--soft)}
.tile .name{font-weight:600;color:var(--calm)}
nav{font-size:12.5px;margin:0 0 18px;display:flex;flex-wrap:wrap;gap:4px 16px}
a{color:var(--blue);text-decoration:none}
a:hover{text-decoration:underline}
section{background:var(--paper);border:1px solid var(--line);border-radius:8px;padding:18px 20px 16px;margin:0 0 16px}
.grid{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(440px,100%),1fr));gap:14px 28px;align-items:start}
.grid>*{min-width:0}
svg{display:block;width:100%;height:auto;max-width:680px}
.scroll{overflow-x:auto;margin-bottom:10px}
p.soft{font-size:13px}
table{border-collapse:collapse;width:100%;font-size:13px}
caption{text-align:left;font-weight:600;color:var(--calm);padding:4px 0 6px;font-size:13px}
th{font-size:11.5px;font-weight:600;color:var(--soft);text-align:left;border-bottom:1.5px solid #c9d2dc;padding:5px 14px 5px 0;
vertical-align:bottom;white-space:nowrap}
td{border-bottom:1px solid #edf0f4;padding:5px 14px 5px 0;vertical-align:top;overflow-wrap:anywhere}
td.r,th.r{text-align:right;white-space:nowrap}
td.n{white-space:nowrap}
tr.sum td{font-weight:600;border-top:1.5px solid #c9d2dc;border-bottom:0}
tbody tr:hover td{background:#f8fafc}
.badge{display:inline-block;border:1px solid;border-radius:4px;padding:0 6px;font-size:11.5px;font-weight:600;line-height:18px;
white-space:nowrap}
.up{color:var(--good)}.down{color:var(--bad)}
.meter{display:inline-block;width:84px;height:8px;border-radius:4px;background:#e6ebf1;vertical-align:middle;overflow:hidden}
.meter i{display:block;height:8px;background:var(--blue)}
.meter.tight i{background:#c98a00}.meter.over i{background:#b3261e}
.wrap{min-width:230px;color:var(--calm)}
details{margin:8px 0 0}
summary{cursor:pointer;color:var(--blue);font-size:12.5px;padding:3px 0}
code{font:11.5px/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,"Liberation Mono",monospace;overflow-wrap:anywhere}
ul{margin:0;padding-left:20px}
li{margin:3px 0}
footer{color:var(--soft);font-size:12px;margin-top:18px}
.scroll{background:linear-gradient(to right,var(--paper) 30%,transparent) 0 0/40px 100% no-repeat local,
linear-gradient(to left,var(--paper) 30%,transparent) 100% 0/40px 100% no-repeat local,
linear-gradient(to right,var(--edge),transparent) 0 0/14px 100% no-repeat scroll,
linear-gradient(to left,var(--edge),transparent) 100% 0/14px 100% no-repeat scroll}
@media(max-width:600px){main{padding:16px 10px 32px}section{padding:14px 12px 12px}ul{padding-left:10px}
li{overflow-wrap:anywhere}th,td{padding-right:10px}.wrap{min-width:170px}}
@media screen and (prefers-color-scheme:dark){:root{color-scheme:dark;--ink:#e3e8ee;--soft:#9aa7b5;--line:#2c3641;--paper:#171d24;
--ground:#0f1419;--blue:#7db4f0;--good:#7fd69a;--goodbg:#14301e;--warn:#f0c674;--warnbg:#33280f;--bad:#ff9d94;--badbg:#3a1a18;
--calm:#c0cad5;--calmbg:#222b35;--edge:#000a}
.good,.warn,.bad,.calm{border-color:currentColor}.banner{border-color:#7a5c1a;color:var(--warn)}
.banner.bad{color:var(--bad);background:var(--badbg);border-color:currentColor}
th,tr.sum td{border-color:#46525f}td{border-color:#232c36}tbody tr:hover td{background:#1d252e}.meter{background:#2c3641}
svg{background:#fff;border-radius:6px;padding:6px}}
@media print{body{background:#fff}main{max-width:none;padding:0}section,.tile{break-inside:avoid}nav{display:none}}
""".strip()
