// The matrix's program for LangChain.js; of a stream, the last object counts.
import { ChatOpenAI } from "@langchain/openai";
import { Delay, serve } from "./outcomes.mjs";

const METHODS = { schema: "jsonSchema", tool: "functionCalling", json: "jsonMode" };

await serve(async (one) => {
  const [route, kind] = one.way.split(" ");
  const chat = new ChatOpenAI({
    model: one.model,
    apiKey: one.api_key,
    useResponsesApi: route === "responses",
    configuration: { baseURL: one.base_url, defaultHeaders: one.headers },
  });
  if (kind === "text") {
    if (!one.streamed) return (await chat.invoke(one.prompt)).content;
    let text = "";
    for await (const part of await chat.stream(one.prompt)) text += part.content;
    return text;
  }
  const model = chat.withStructuredOutput(Delay, { name: "Delay", method: METHODS[kind] });
  if (!one.streamed) return model.invoke(one.prompt);
  let last;
  for await (const part of await model.stream(one.prompt)) last = part;
  return last;
});
