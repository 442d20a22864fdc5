// The matrix's program for openai-node.
import OpenAI from "openai";
import { zodFunction, zodResponseFormat, zodResponsesFunction, zodTextFormat } from "openai/helpers/zod";
import { Delay, serve } from "./outcomes.mjs";

async function chat(client, one) {
  const tool = one.way === "chat tool";
  const how = tool
    ? {
        tools: [zodFunction({ name: "Delay", parameters: Delay })],
        tool_choice: { type: "function", function: { name: "Delay" } },
      }
    : { response_format: zodResponseFormat(Delay, "Delay") };
  const body = { model: one.model, messages: [{ role: "user", content: one.prompt }], ...how };
  const answer = one.streamed
    ? await client.chat.completions.stream(body).finalChatCompletion()
    : await client.chat.completions.parse(body);
  const message = answer.choices[0].message;
  return tool ? message.tool_calls[0].function.parsed_arguments : message.parsed;
}

async function responses(client, one) {
  const tool = one.way === "responses tool";
  const how = tool
    ? { tools: [zodResponsesFunction({ name: "Delay", parameters: Delay })], tool_choice: "required" }
    : { text: { format: zodTextFormat(Delay, "Delay") } };
  const body = { model: one.model, input: one.prompt, ...how };
  const answer = one.streamed
    ? await client.responses.stream(body).finalResponse()
    : await client.responses.parse(body);
  return tool ? answer.output[0].parsed_arguments : answer.output_parsed;
}

await serve((one) => {
  const client = new OpenAI({
    baseURL: one.base_url,
    apiKey: one.api_key,
    defaultHeaders: one.headers,
  });
  return (one.way.startsWith("chat") ? chat : responses)(client, one);
});
