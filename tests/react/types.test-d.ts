/** The package's types are those of the functions: what a query answers can be given to whoever takes the package's. */
import type { FunctionArgs, FunctionReturnType } from "convex/server";
import type { api } from "../convex/_generated/api";
import type { functions } from "../react/functions";

type Given<T> = { [Key in keyof T]: T[Key] };
type Same<Ours extends Theirs, Theirs> = Ours;
type Answer<F extends keyof typeof functions> = FunctionReturnType<(typeof functions)[F]>;
type Asked<F extends keyof typeof functions> = FunctionArgs<(typeof functions)[F]>;

export type Answers = [
  Same<FunctionReturnType<typeof api.scenes.get>, Answer<"scene">>,
  Same<FunctionReturnType<typeof api.scenes.bySession>, Answer<"scenes">>,
  Same<FunctionReturnType<typeof api.assets.chunks>, Answer<"chunks">>,
  Same<FunctionReturnType<typeof api.assets.accessUrls>, Answer<"accessUrls">>,
];
export type Arguments = [
  Same<Given<Asked<"scene">>, FunctionArgs<typeof api.scenes.get>>,
  Same<Given<Asked<"scenes">>, FunctionArgs<typeof api.scenes.bySession>>,
  Same<Given<Asked<"chunks">>, FunctionArgs<typeof api.assets.chunks>>,
  Same<Given<Asked<"accessUrls">>, FunctionArgs<typeof api.assets.accessUrls>>,
];
