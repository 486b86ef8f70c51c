import { strictEqual as equal } from "node:assert/strict";

Deno.test("core/sys: a redirected SIGUSR1 arrives as SIGUSR2 and opens no debugger", async () => {
  const script = `
    import { redirectSignal, SIGUSR1, SIGUSR2 } from "core/sys/signals.ts";
    Deno.addSignalListener("SIGUSR1", () => Deno.exit(3));
    Deno.addSignalListener("SIGUSR2", () => Deno.exit(42));
    if (!redirectSignal(SIGUSR1, SIGUSR2)) Deno.exit(4);
    setTimeout(() => Deno.exit(5), 10_000);
    await Deno.stdout.write(new TextEncoder().encode("ready"));
  `;
  const child = new Deno.Command(Deno.execPath(), {
    args: ["eval", `--config=${new URL("../../deno.json", import.meta.url).pathname}`, script],
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const reader = child.stdout.getReader();
  await reader.read();
  child.kill("SIGUSR1");
  equal((await child.status).code, 42);
  reader.releaseLock();
  await child.stdout.cancel();
  equal(await new Response(child.stderr).text(), "");
});
