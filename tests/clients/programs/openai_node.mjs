// The matrix's program for openai-node.
import OpenAI from "openai";
import { zodFunction, zodResponseFormat, zodResponsesFunction, zodTextFormat } from "openai/helpers/zod";
import { Delay, serve } from "./outcomes.mjs";

async function chat(client, one) {
  const tool = one.way === "chat tool";
  let how = {};
  if (one.way === "chat schema") how = { response_format: zodResponseFormat(Delay, "Delay") };
  if (tool) {
    how = {
      tools: [zodFunction({ name: "Delay", parameters: Delay })],
      tool_choice: { type: "function", function: { name: "Delay" } },
    };
  }
  const body = { model: one.model, messages: [{ role: "user", content: one.prompt }], ...how };
  const answer = one.streamed
    ? await client.chat.completions.stream(body).finalChatCompletion()
    : await client.chat.completions.parse(body);
  const message = answer.choices[0].message;
  if (one.way === "chat text") return message.content;
  return tool ? message.tool_calls[0].function.parsed_arguments : message.parsed;
}

async function responses(client, one) {
  const tool = one.way === "responses tool";
  let how = {};
  if (one.way === "responses schema") how = { text: { format: zodTextFormat(Delay, "Delay") } };
  if (tool) {
    const delay = zodResponsesFunction({ name: "Delay", parameters: Delay });
    how = { tools: [delay], tool_choice: "required" };
  }
  const body = { model: one.model, input: one.prompt, ...how };
  const answer = one.streamed
    ? await client.responses.stream(body).finalResponse()
    : await client.responses.parse(body);
  if (one.way === "responses text") return answer.output_text;
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
