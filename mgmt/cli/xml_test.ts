import { strictEqual as equal } from "node:assert/strict";
import { element, printXml } from "mgmt/cli/xml.ts";

const HEAD = `<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n`;

Deno.test("cli/xml: elements stand a line each, empty ones close themselves", () => {
  equal(
    printXml(element("cliOutput", [
      element("opRet", 0),
      element("opErrstr"),
      element("a", [
        element("b", "x<&>"),
      ]),
    ])),
    `${HEAD}<cliOutput>\n  <opRet>0</opRet>\n  <opErrstr/>\n  <a>\n    <b>x&lt;&amp;&gt;</b>\n  </a>\n</cliOutput>\n`,
  );
});

Deno.test("cli/xml: text and children together stay on one line", () => {
  equal(
    printXml({
      name: "brick",
      attributes: { uuid: 'a"b' },
      text: "h:/p",
      children: [element("name", "h:/p")],
    }),
    `${HEAD}<brick uuid="a&quot;b">h:/p<name>h:/p</name></brick>\n`,
  );
});

Deno.test("cli/xml: what XML cannot hold is shown as a question mark", () => {
  equal(printXml(element("a", "x\u0001y")), `${HEAD}<a>x?y</a>\n`);
});
