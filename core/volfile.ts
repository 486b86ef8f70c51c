/** Volfiles: text to blocks and back. Grammar as in GlusterFS's graph.y. */

/** One `volume … end-volume`. */
export interface VolumeBlock {
  readonly name: string;
  readonly type: string;
  readonly options: ReadonlyMap<string, string>;
  readonly subvolumes: readonly string[];
  /** Where it began in the text, from 1; 0 for blocks that were never text. */
  readonly line: number;
}

/** Largest volfile that is read, in characters. */
export const VOLFILE_MAX = 16 << 20;

/** The blocks of a volfile, in order. Throws SyntaxError naming the line. */
export function parseVolfile(text: string): VolumeBlock[] {
  if (text.length > VOLFILE_MAX) throw new SyntaxError("Cannot read volfile: larger than 16 MiB");
  const blocks: VolumeBlock[] = [];
  let open: {
    name: string;
    type: string;
    options: Map<string, string>;
    subvolumes: string[];
    line: number;
  } | undefined;
  text.split("\n").forEach((raw, index) => {
    const line = index + 1;
    const fail = (what: string): never => {
      throw new SyntaxError(`Cannot read volfile: line ${line}: ${printable(what)}`);
    };
    const words = splitLine(raw, fail);
    const keyword = words[0]?.toLowerCase();
    if (keyword === undefined) return;
    if (keyword === "volume") {
      if (open) {
        fail(`"volume" inside volume "${open.name}" (line ${open.line}); "end-volume" is missing`);
      }
      if (words.length !== 2) fail('expected "volume NAME", alone on its line');
      open = { name: words[1]!, type: "", options: new Map(), subvolumes: [], line };
      return;
    }
    if (!open) return fail(`"${words[0]}" outside of a volume`);
    switch (keyword) {
      case "type":
        if (words.length !== 2) fail('expected "type CATEGORY/NAME"');
        if (open.type) fail(`volume "${open.name}" has two types`);
        open.type = words[1]!;
        break;
      case "option":
        if (words.length < 3) fail(`expected "option KEY VALUE" in volume "${open.name}"`);
        open.options.set(words[1]!, words.slice(2).join(" "));
        break;
      case "subvolumes":
        if (words.length < 2) fail(`"subvolumes" without names in volume "${open.name}"`);
        if (open.subvolumes.length) {
          fail(`volume "${open.name}" has two lines of subvolumes; name all of them in one`);
        }
        open.subvolumes.push(...words.slice(1));
        break;
      case "end-volume":
        if (!open.type) fail(`volume "${open.name}" has no type`);
        blocks.push(open);
        open = undefined;
        break;
      default:
        fail(`unknown word "${words[0]}" in volume "${open.name}"`);
    }
  });
  if (open) {
    throw new SyntaxError(
      `Cannot read volfile: volume "${(open as VolumeBlock).name}" (line ${
        (open as VolumeBlock).line
      }) has no "end-volume"`,
    );
  }
  return blocks;
}

// A file that is no volfile at all may hold what a terminal would obey.
function printable(text: string): string {
  // deno-lint-ignore no-control-regex -- those are what is looked for
  return text.replace(/[\x00-\x1f\x7f-\x9f]/g, "?");
}

// Words of a line: blanks separate, double quotes hold together, backslash escapes within them, # starts a comment.
function splitLine(raw: string, fail: (what: string) => never): string[] {
  const words: string[] = [];
  let at = 0;
  while (at < raw.length) {
    const char = raw[at]!;
    if (/\s/.test(char)) at++;
    else if (char === "#") break;
    else if (char === '"') {
      let word = "";
      for (at++; at < raw.length && raw[at] !== '"'; at++) {
        if (raw[at] === "\\" && at + 1 < raw.length) at++;
        word += raw[at];
      }
      if (at >= raw.length) fail("a quote is not closed");
      at++;
      words.push(word);
    } else {
      let end = at;
      while (end < raw.length && !/[\s#"]/.test(raw[end]!)) end++;
      // A # within a word belongs to it, as in paths.
      while (end < raw.length && !/[\s"]/.test(raw[end]!)) end++;
      words.push(raw.slice(at, end));
      at = end;
    }
  }
  return words;
}

/**
 * Whether a text can stand in a volfile: no line break, and no backtick, since GlusterFS's programs
 * run what is between backticks as a command of the shell, quoted or not (graph.y, `preprocess`).
 */
export function fitsVolfile(text: string): boolean {
  return !/[\n`]/.test(text);
}

/**
 * The inverse of `parseVolfile`, in the form that glusterd writes. Throws RangeError on what does not
 * fit.
 */
export function printVolfile(blocks: readonly VolumeBlock[]): string {
  return blocks.map(({ name, type, options, subvolumes }) =>
    [
      `volume ${word(name)}`,
      `    type ${word(type)}`,
      ...[...options].map(([key, value]) =>
        `    option ${word(key)} ${value === "" ? '""' : words(value)}`
      ),
      ...(subvolumes.length ? [`    subvolumes ${subvolumes.map(word).join(" ")}`] : []),
      "end-volume",
      "",
    ].join("\n")
  ).join("\n");
}

function words(value: string): string {
  return value.split(" ").every((each) => each !== "" && each === word(each))
    ? value
    : quote(value);
}

function word(value: string): string {
  return /^[^\s"#\\`][^\s"`]*$/.test(value) ? value : quote(value);
}

function quote(value: string): string {
  if (!fitsVolfile(value)) {
    throw new RangeError(`Cannot print volfile: line break or backtick in "${value}"`);
  }
  return `"${value.replace(/[\\"]/g, "\\$&")}"`;
}
