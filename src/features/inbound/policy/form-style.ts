/** The one style of the form's pages. The page's policy names it by its hash, so it stands in the page exactly as here. */
export const FORM_STYLE = `:root{color-scheme:light dark;--bg:#f3f4f7;--card:#fff;--edge:#e2e5ea;--text:#181c22;--soft:#59626e;--line:#8a939f;--accent:#1f4fd1;--on:#fff;--bad:#b3261e;--badbg:#fdf1f0}
@media(prefers-color-scheme:dark){:root{--bg:#0f1216;--card:#181c22;--edge:#272d36;--text:#e9ecf0;--soft:#a5aeba;--line:#67717e;--accent:#8fb1ff;--on:#0a1330;--bad:#ff9d94;--badbg:#2b1817}}
*{box-sizing:border-box}
html{background:var(--bg);color:var(--text);font:1rem/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;-webkit-text-size-adjust:100%}
body{margin:0}
main{max-width:39rem;margin:0 auto;padding:clamp(1rem,6vh,4rem) clamp(.75rem,4vw,1.5rem)}
.card{background:var(--card);border:1px solid var(--edge);border-radius:1rem;padding:clamp(1.25rem,6vw,2.5rem);box-shadow:0 1px 2px rgb(0 0 0/.05),0 8px 32px rgb(0 0 0/.06)}
h1{font-size:clamp(1.45rem,1.2rem + 1.6vw,1.9rem);line-height:1.2;letter-spacing:-.015em;margin:0;overflow-wrap:anywhere;text-wrap:balance}
.by{margin:0 0 .35rem;color:var(--soft);font-weight:600;font-size:.95rem;overflow-wrap:anywhere}
.lead{margin:.75rem 0 0;color:var(--soft);font-size:1.05rem}
form{display:grid;grid-template-columns:1fr;gap:1.15rem;margin-top:1.75rem}
@media(min-width:36rem){form{grid-template-columns:1fr 1fr}.wide{grid-column:1/-1}}
label{display:block;margin-bottom:.35rem;font-weight:600;font-size:.95rem}
label small{color:var(--soft);font-weight:400;font-size:.85rem}
input,textarea{display:block;width:100%;font:inherit;color:inherit;background:transparent;border:1px solid var(--line);border-radius:.6rem;padding:.65rem .8rem;min-height:2.9rem}
textarea{min-height:9.5rem;resize:vertical}
[aria-invalid=true]{border-color:var(--bad);box-shadow:0 0 0 1px var(--bad)}
:focus-visible{outline:3px solid var(--accent);outline-offset:2px}
[tabindex="-1"]:focus{outline:0}
.error{margin:.35rem 0 0;color:var(--bad);font-size:.9rem;font-weight:600}
.summary{margin:1.5rem 0 0;padding:1rem 1.15rem;border:1px solid var(--bad);border-left-width:.35rem;border-radius:.6rem;background:var(--badbg)}
.summary p{margin:0;font-weight:600}
.summary ul{margin:.4rem 0 0;padding-left:1.2rem}
.summary a{color:var(--bad)}
button{font:inherit;font-weight:650;color:var(--on);background:var(--accent);border:0;border-radius:.6rem;padding:.8rem 1.5rem;min-height:3rem;cursor:pointer}
button:hover{filter:brightness(1.08)}
@media(max-width:35.99rem){button{width:100%}}
.hp{position:absolute;left:-10000px;width:1px;height:1px;overflow:hidden}
.tick{display:block;width:3rem;height:3rem;margin-bottom:1rem;border-radius:50%;background:var(--accent);color:var(--on);font-size:1.5rem;font-weight:700;line-height:3rem;text-align:center}`
