import { z } from "zod";
import { AppName } from "../app/app.ts";
import { KeyAdded, KeyName, KeyReport } from "../app/key.ts";
import { operation } from "./operation.ts";

export const keysOperation = operation({
  name: "keys",
  summary: "The keys by which people may deploy over SSH, and the apps of each",
  access: "admin",
  input: z.object({}),
  output: z.array(KeyReport),
  handle: async ({ access }) => access.keys(),
});

export const keysAddOperation = operation({
  name: "keys_add",
  summary: "Lets a public key deploy some apps over SSH, and nothing else; for one that is there: other apps",
  access: "admin",
  input: z.object({
    key: KeyName,
    /** What is in the .pub file. */
    publicKey: z.string().max(100_000),
    apps: z.array(AppName).min(1, "name the apps that the key may deploy").max(1000),
  }),
  output: KeyAdded,
  handle: ({ access }, { key, publicKey, apps }) => access.add(key, publicKey, apps),
});

export const keysRemoveOperation = operation({
  name: "keys_remove",
  summary: "Takes a key away, and ends whatever it is being used for",
  access: "admin",
  input: z.object({ key: KeyName }),
  output: z.object({ key: KeyName }),
  handle: async ({ access }, { key }) => {
    await access.remove(key);
    return { key };
  },
});
