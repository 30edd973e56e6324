import { type Body, Refusal } from "./refusal.ts";

/** When a client may ask again, s. Nobody knows when the work ends: often enough to notice, seldom enough not to matter. */
const retryAfterS = 30;

/** The app is being worked on. Browsers get a page, programs what they read. */
export class Maintenance extends Refusal {
  constructor(message: string) {
    super(503, message, { retryAfterS });
  }

  override body(accept: string): Body {
    if (/\btext\/html\b/i.test(accept)) return { type: "text/html; charset=utf-8", text: page(this.message) };
    if (/\bapplication\/(?:[\w.-]+\+)?json\b/i.test(accept))
      return {
        type: "application/json",
        text: JSON.stringify({ error: "maintenance", message: this.message }),
      };
    return super.body(accept);
  }
}

/** It needs nothing from anywhere, whatever policy a browser has been told for the site. */
function page(message: string): string {
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Maintenance</title></head>
<body><h1>Maintenance</h1><p>${escaped(message).replaceAll("\n", "<br>\n")}</p></body>
</html>
`;
}

const entities: Record<string, string> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

const escaped = (text: string) => text.replace(/[&<>"']/g, (character) => entities[character] ?? character);
