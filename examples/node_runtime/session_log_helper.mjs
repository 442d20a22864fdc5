// A fourth runtime in a hundred lines: decodes session rows and encodes them again, byte for byte as
// spec/v1 says. docs/how-to/add-a-runtime.md is the walk through it. Node 20.15 or later, no packages.
import { readFileSync } from "node:fs";
import { crc32 } from "node:zlib";

// --- Reading: strict JSON, in which every value keeps its own text ---------------------------------
const TOKEN =
  /[ \t]*(?:([{}[\],:])|("[^"\\\x00-\x1f]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*)*")|(-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null))/y;
const DEPTH_MAX = 80, ROW_BYTES_MAX = 8 << 20, INT64_MAX = 2n ** 63n - 1n;

const refuse = (why) => { throw new Error(why); };

function parse(source) {
  let at = 0;
  const next = () => {
    TOKEN.lastIndex = at;
    const token = TOKEN.exec(source) ?? refuse(`no JSON token at ${at}`);
    at = TOKEN.lastIndex;
    return token;
  };
  const mark = (wanted) => next()[1] === wanted || refuse(`${wanted} is missing before ${at}`);
  const peek = () => { const from = at, token = next(); at = from; return token[1]; };
  const text = (token) => {
    const found = JSON.parse(token);
    return found.isWellFormed() ? found : refuse(`a lone surrogate before ${at}`);
  };
  const all = (end, one) => { // what stands between brackets, with its commas
    if (peek() === end) return next();
    do one(); while (next()[1] === "," || (source[at - 1] !== end && refuse(`no ${end} at ${at}`)));
  };
  const value = (depth) => {
    const [, bracket, string, scalar] = next();
    if (string) return { kind: "text", raw: string, text: text(string) };
    if (scalar) return { kind: /[tfn]/.test(scalar[0]) ? scalar : "number", raw: scalar };
    if (depth > DEPTH_MAX) refuse(`nested deeper than ${DEPTH_MAX}`);
    if (bracket === "[") {
      const items = [];
      all("]", () => items.push(value(depth + 1)));
      return { kind: "list", items, raw: `[${items.map((item) => item.raw)}]` };
    }
    if (bracket !== "{") refuse(`no value before ${at}`);
    const members = new Map();
    all("}", () => {
      const rawName = next()[2] ?? refuse(`no name before ${at}`), name = text(rawName);
      if (members.has(name)) refuse(`${rawName} is there twice`);
      mark(":");
      members.set(name, { rawName, value: value(depth + 1) });
    });
    return { kind: "object", members, raw: `{${[...members.values()].map((m) => `${m.rawName}:${m.value.raw}`)}}` };
  };
  const whole = value(1);
  return /^[ \t]*$/.test(source.slice(at)) ? whole : refuse(`something behind the value at ${at}`);
}

// --- Writing: one function a type, each from a value to its bytes in the contract's form -----------
const is = (kind, value) => (value.kind === kind ? value : refuse(`${value.raw.slice(0, 40)} is no ${kind}`));
const raw = (value) => value.raw;
const text = (value) => JSON.stringify(is("text", value).text); // escapes exactly what the contract says
const number = (value) => is("number", value).raw;
const bool = (value) => (/^(true|false)$/.test(value.kind) ? value.raw : refuse(`${value.raw} is no boolean`));
const maybe = (type) => (value) => (value.kind === "null" ? "null" : type(value));
const list = (type) => (value) => `[${is("list", value).items.map(type)}]`;
const either = (one, other) => (value) => (value.kind === "text" ? one : other)(value);
const word = (...words) => (value) =>
  words.includes(is("text", value).text) ? text(value) : refuse(`${value.raw} is none of ${words}`);
const grown = (value) => // of a list that grows: any word, also one of a later version
  /^[a-z_]{1,40}$/.test(is("text", value).text) ? text(value) : refuse(`${value.raw} is no word`);
const int = (value) => {
  const digits = /^-?\d+$/.test(is("number", value).raw) ? BigInt(value.raw) : refuse(`${value.raw} is no integer`);
  return digits <= INT64_MAX && digits >= -INT64_MAX - 1n ? `${digits}` : refuse(`${digits} takes over 64 bits`);
};
const byBytes = ([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b));
const map = (order) => (value) => {
  const found = [...is("object", value).members].sort(order ?? (() => 0));
  return `{${found.map(([name, member]) => `${JSON.stringify(name)}:${text(member.value)}`)}}`;
};
const object = (shape) => (value) => {
  const { members } = is("object", value), written = [];
  for (const [name, type] of Object.entries(shape)) {
    const known = name.replace("?", ""), member = members.get(known);
    if (member) written.push(`"${known}":${type(member.value)}`);
    else if (known === name) refuse(`${name} is missing`);
  }
  for (const [name, member] of members) // what this version does not know is carried along as it came
    if (!Object.hasOwn(shape, name) && !Object.hasOwn(shape, `${name}?`)) written.push(`${member.rawName}:${member.value.raw}`);
  return `{${written}}`;
};

const marker = object({ truncated: bool, bytes: int, sha256: text });
const usage = object({ prompt_tokens: maybe(int), completion_tokens: maybe(int) });
const finding = object({ code: grown, path: text, message: text, "message_truncated?": marker, "got?": raw, "expected?": raw, "nearest?": list(either(text, number)) });
const narrowed = object({ path: text, column: text, mode: grown, candidates: int, digest: text }); // column: table.column, or source for quotes
const attempt = object({ iteration: int, outcome: word("accepted", "rejected"), findings: list(finding), "findings_truncated?": marker,
  told: maybe(text), "told_truncated?": marker, output: text, "output_truncated?": marker, thinking: maybe(text),
  "thinking_truncated?": marker, artifact: raw, "artifact_truncated?": marker, repairs: list(object({ code: text, offset: int, message: text })),
  "repairs_truncated?": marker, finish_reason: grown, usage, duration_ms: int, span_id: text, "narrowed?": list(narrowed) });
const row = object({ schema: word("session.iterate.v1"), session_id: text, trace_id: text, row_id: text, timestamp: text, daemon: text,
  kind: maybe(text), model: text, model_alias: text, provider: text, prompt: text, "prompt_truncated?": marker,
  messages: maybe(list(object({ role: word("system", "user", "assistant"), content: text, "content_truncated?": marker }))),
  system: maybe(text), "system_truncated?": marker, max_iterations: int,
  settings: object({ constrain: word("auto", "off"), temperature: maybe(number), max_tokens: maybe(int), seed: maybe(int), deadline_ms: int, "history?": grown, "candidates?": grown,
    "top_p?": number, "stop?": list(text), "assert_formats?": (value) => is("true", value).raw }),
  inline_schema: raw, verdict: word("accepted", "max_iter_exhausted", "infra_error"), iterations: int, accepted_iteration: maybe(int),
  grounded: maybe(bool), artifact: raw, attempts: list(attempt), error: maybe(object({ code: grown, message: text, "detail?": maybe(text) })),
  usage, duration_ms: int, conversation_id: maybe(text), metadata: map(), trace_id_replaced: bool, config_digest: text, kind_digest: text,
  tables: map(byBytes) });

function rewrite(line) {
  if (line.length > ROW_BYTES_MAX) refuse(`${line.length} bytes are more than a row may have`);
  if (line.includes(10) || line.includes(13)) refuse("a line break inside the line");
  const value = is("object", parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(line)));
  const crc = /^,"crc":"([^"]{8})"}$/.exec(line.subarray(-18).toString("latin1"))?.[1];
  const checked = (bytes) => crc32(bytes).toString(16).padStart(8, "0");
  if (crc && crc !== checked(line.subarray(0, -18))) refuse("the crc does not match");
  if (!crc && value.members.has("crc")) refuse("crc is not the last 18 bytes");
  value.members.delete("crc");
  const body = row(value).slice(0, -1);
  return `${body},"crc":"${checked(Buffer.from(body))}"}`;
}

// --- The protocol: JSON lines in and out. Not readline, which also splits at U+2028 ----------------
for (const line of readFileSync(0, "utf8").split("\n").filter(Boolean)) {
  const { seq, suite, input, input_base64 } = JSON.parse(line);
  let answer = { outcome: "skipped", reason: `no suite ${suite}`, link: "docs/how-to/add-a-runtime.md" };
  if (suite === "session_log")
    try {
      answer = { outcome: "result", output: rewrite(Buffer.from(input ?? input_base64, input === undefined ? "base64" : "utf8")) };
    } catch (error) {
      answer = { outcome: "errored", message: error.message, context: "" };
    }
  console.log(JSON.stringify({ seq, ...answer }));
}
