// What both programs of Vercel's AI SDK do: `generateObject`, or `streamObject` to its end; for a
// text `generateText` and `streamText`.
import { generateObject, generateText, streamObject, streamText } from "ai";
import { Delay, serve } from "./outcomes.mjs";

export function serveObjects(modelOf) {
  return serve(async (one) => {
    const access = { baseURL: one.base_url, apiKey: one.api_key };
    const text = one.way.endsWith("text");
    const asked = { model: modelOf(one, access), prompt: one.prompt, headers: one.headers };
    const how = text ? asked : { ...asked, schema: Delay };
    if (!one.streamed) return text ? (await generateText(how)).text : (await generateObject(how)).object;
    // The first of a stream's errors is told to `onError`. Iterating ends as if all were well, or
    // with what went wrong later.
    let failure;
    const stream = text ? streamText : streamObject;
    const result = stream({ ...how, onError: ({ error }) => (failure ??= error) });
    const [parts, end] = text
      ? [result.textStream, result.text]
      : [result.partialObjectStream, result.object];
    end.catch(() => {}); // awaited below
    try {
      for await (const _ of parts);
    } catch (later) {
      failure ??= later;
    }
    if (failure) throw failure;
    return end;
  });
}
