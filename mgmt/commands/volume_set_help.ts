/** `volume set help`: every option, its default and what it is for. */

import { managed } from "mgmt/cli/managed.ts";
import { element, printXml, type XmlElement } from "mgmt/cli/xml.ts";
import { VOLUME_OPTIONS } from "mgmt/volume_options/mod.ts";

/** The options that are not hidden. */
export type VolumeSetHelp = readonly {
  readonly key: string;
  readonly default: string;
  readonly help: string;
  /** What values look like. */
  readonly values: string;
}[];

function help(): VolumeSetHelp {
  return [...VOLUME_OPTIONS.values()].filter(({ hidden }) => !hidden)
    .map(({ key, shown, helpShown, spec, fixed }) => ({
      key,
      default: helpShown ?? shown,
      help: fixed === undefined ? spec.help : `${spec.help} Cannot be changed: ${fixed}.`,
      values: spec.values,
    }));
}

function asXml(options: VolumeSetHelp): XmlElement {
  return element(
    "options",
    options.map((option) =>
      element("option", [
        element("defaultValue", option.default),
        element("description", option.help),
        element("name", option.key),
      ])
    ),
  );
}

/** See the head of this file. */
export const volumeSetHelp = managed({
  path: "volume set help",
  summary: "list the options that can be set, with defaults and what they are for",
  args: {},
  scope: "nothing",
  rest: "GET /options",
  examples: [{ what: "Read about all options", line: "mortar volume set help" }],
  apply: help,
  text: (options) =>
    options.map((option) =>
      `Option: ${option.key}\nDefault Value: ${option.default}\nDescription: ${option.help}\n\n`
    ).join("") + "\n",
  xml: (options) => [asXml(options)],
});

/** The same as an XML document of its own. */
export const volumeSetHelpXml = managed({
  path: "volume set help-xml",
  summary: "list the options that can be set as XML",
  args: {},
  scope: "nothing",
  rest: "GET /options/xml",
  examples: [{ what: "Let a program read about all options", line: "mortar volume set help-xml" }],
  apply: help,
  text: (options) => printXml(asXml(options)),
  xml: (options) => [asXml(options)],
});
