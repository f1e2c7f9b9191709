"use strict";
// The page is complete without this script, which only keeps the figures fresh.
async function refresh() {
  try {
    const answer = await fetch("body.html", { cache: "no-store" });
    if (answer.ok) document.getElementById("main").innerHTML = await answer.text();
  } catch (_) { /* The service restarts; the next call finds it. */ }
}
setInterval(() => { if (!document.hidden) refresh(); }, 5000);
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
