/** XML as GlusterFS's command line prints it: an element a line, two blanks a level. */

/** An element: text, or children, or both (text first). */
export interface XmlElement {
  readonly name: string;
  readonly attributes?: Readonly<Record<string, string>>;
  readonly text?: string;
  readonly children?: readonly XmlElement[];
}

/** An element with text, or with children. No text and no children: `<name/>`. */
export function element(
  name: string,
  content: string | number | readonly XmlElement[] = [],
  attributes?: Readonly<Record<string, string>>,
): XmlElement {
  const inside = typeof content === "object" ? { children: content } : { text: String(content) };
  return attributes ? { name, ...inside, attributes } : { name, ...inside };
}

/** A document, newline at its end. An element with both text and children stays on one line. */
export function printXml(root: XmlElement): string {
  const lines: string[] = [];
  print(root, "", lines);
  return `<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n${lines.join("\n")}\n`;
}

function print(at: XmlElement, indent: string, lines: string[]): void {
  if (at.text || !at.children?.length) {
    lines.push(indent + inline(at));
    return;
  }
  lines.push(`${indent}<${at.name}${attributes(at)}>`);
  for (const child of at.children) print(child, `${indent}  `, lines);
  lines.push(`${indent}</${at.name}>`);
}

function inline(at: XmlElement): string {
  const inside = escaped(at.text ?? "") + (at.children ?? []).map(inline).join("");
  const head = `<${at.name}${attributes(at)}`;
  return inside === "" ? `${head}/>` : `${head}>${inside}</${at.name}>`;
}

function attributes(at: XmlElement): string {
  return Object.entries(at.attributes ?? {})
    .map(([name, value]) => ` ${name}="${escaped(value).replaceAll('"', "&quot;")}"`)
    .join("");
}

// What XML cannot hold at all (most control characters) becomes a question mark.
function escaped(text: string): string {
  return text
    // deno-lint-ignore no-control-regex -- these are what must go
    .replace(/[\0-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]/g, "?")
    .replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
