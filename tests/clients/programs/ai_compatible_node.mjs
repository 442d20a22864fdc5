// The matrix's program for Vercel's AI SDK with @ai-sdk/openai-compatible.
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { serveObjects } from "./objects.mjs";

await serveObjects((one, access) => {
  const supportsStructuredOutputs = one.way === "chat schema";
  return createOpenAICompatible({ name: "door", supportsStructuredOutputs, ...access })(one.model);
});
