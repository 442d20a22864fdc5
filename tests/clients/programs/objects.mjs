// What both programs of Vercel's AI SDK do: `generateObject`, or `streamObject` to its end.
import { generateObject, streamObject } from "ai";
import { Delay, serve } from "./outcomes.mjs";

export function serveObjects(modelOf) {
  return serve(async (one) => {
    const access = { baseURL: one.base_url, apiKey: one.api_key, headers: one.headers };
    const how = { model: modelOf(one, access), schema: Delay, prompt: one.prompt };
    if (!one.streamed) return (await generateObject(how)).object;
    // The first of a stream's errors is told to `onError`. Iterating ends as if all were well, or
    // with what went wrong later.
    let failure;
    const result = streamObject({ ...how, onError: ({ error }) => (failure ??= error) });
    result.object.catch(() => {}); // awaited below
    try {
      for await (const _ of result.partialObjectStream);
    } catch (later) {
      failure ??= later;
    }
    if (failure) throw failure;
    return result.object;
  });
}
