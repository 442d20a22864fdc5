// What every Node program of the matrix does: cases in, one JSON line out for each. A case is one
// line of standard input; the line printed for it says what the client's user has in hand.
import { readFileSync, writeSync } from "node:fs";
import { z } from "zod";

process.env.LANGSMITH_TRACING = "false";
globalThis.AI_SDK_LOG_WARNINGS = false;

export const Delay = z.object({ flight: z.string(), city: z.string(), minutes: z.number().int() });

const WRAPPED_MAX = 5;

// Its status and code may stand in an error that it wraps.
function raised(error) {
  let status, code;
  let one = error;
  for (let depth = 0; one && depth < WRAPPED_MAX; depth += 1) {
    status ??= one.status ?? one.statusCode;
    code ??= one.code ?? one.data?.error?.code ?? one.error?.code;
    one = one.lastError ?? one.cause;
  }
  const named = error?.name && error.name !== "Error" ? error.name : error?.constructor?.name;
  const message = String(error?.message ?? error).split("\n")[0];
  return { outcome: "raised", class: named, status: status ?? null, code: code ?? null, message };
}

function parsed(value) {
  if (typeof value === "string") value = JSON.parse(value); // the user of a text reads it
  if (value && typeof value === "object") return { outcome: "parsed", object: value };
  const message = `${typeof value}: ${String(value).slice(0, 200)}`;
  return { outcome: "raised", class: "NoObject", status: null, code: null, message };
}

export async function serve(ask) {
  const cases = readFileSync(0, "utf8").split("\n").filter(Boolean).map((line) => JSON.parse(line));
  for (const name of ["log", "info", "debug", "warn"]) console[name] = console.error;
  await Promise.all(
    cases.map(async (one) => {
      const outcome = await ask(one).then(parsed).catch(raised);
      writeSync(1, `${JSON.stringify({ case: one.id, ...outcome })}\n`);
    }),
  );
}
