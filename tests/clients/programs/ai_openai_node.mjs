// The matrix's program for Vercel's AI SDK with @ai-sdk/openai.
import { createOpenAI } from "@ai-sdk/openai";
import { serveObjects } from "./objects.mjs";

await serveObjects((one, access) => {
  const openai = createOpenAI(access);
  return one.way.startsWith("chat") ? openai.chat(one.model) : openai(one.model);
});
