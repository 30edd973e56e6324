/** The part of dnode 1.2.2 that Maestro uses; the package has no types of its own. */
declare module "dnode" {
  type Listener = (value: never) => void;

  interface Dnode {
    /** There from the next tick on. */
    proto?: { callbacks: { local: unknown[]; remote: Record<string, unknown> } };
    handle(message: unknown): void;
    end(): void;
    on(event: "data" | "remote" | "fail" | "error", listener: Listener): this;
  }

  /** `weak: false`: the native module of that name does not load on today's Node. `emit`: messages, not lines. */
  export default function dnode(methods: object, options: { weak: false; emit: "object" }): Dnode;
}
