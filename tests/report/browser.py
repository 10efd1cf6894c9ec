"""A page in a headless Chromium, where one is installed."""
import html
import json
import re
import shutil
import subprocess

CHROMIUM = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None)
BEGIN = "<head><script>const errors = []; onerror = said => errors.push(said);</script>"
END = """<script>const told = {{errors: errors}};
told.fetched = performance.getEntriesByType('resource').length;
{}
document.title = 'TOLD' + JSON.stringify(told);</script></body>"""


def look(folder, text: str, script: str) -> dict:
    """What a script finds on a page: it fills the object `told`, which begins with the errors and the number of requests."""
    page = folder / "look.html"
    page.write_text(text.replace("<head>", BEGIN).replace("</body>", END.format(script)))
    done = subprocess.run([CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}/browser", "--dump-dom",
                           f"file://{page}"], capture_output=True, text=True, timeout=120)
    return json.loads(html.unescape(re.search(r"<title>TOLD(.*?)</title>", done.stdout)[1]))
