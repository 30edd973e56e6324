import { MaestroError } from "../errors.ts";

/** The environment that an app was given with `config set`: above app.json's defaults, below Maestro's own variables. */
export type Variables = Readonly<Record<string, string>>;

const most = { variables: 500, nameBytes: 128, valueBytes: 32 * 1024, allBytes: 64 * 1024 };

/** What an environment can hold. `__proto__` would be lost in an object. */
const namePattern = /^(?!__proto__$)[A-Za-z_][A-Za-z0-9_]*$/;

/**
 * Throws `BAD_INPUT` for names and values that an app's environment cannot hold, or may not. The sentence names the
 * variable and never shows a value: also what was meant as a value may stand where a name should.
 */
export function checkVariables(variables: Variables): void {
  const entries = Object.entries(variables);
  for (const [index, [name, value]] of entries.entries()) {
    checkName(name, index + 1);
    checkValue(name, value);
  }
  if (entries.length > most.variables) {
    throw wrong(
      `an app can have ${most.variables} variables, these are ${entries.length}; keep the rest in a file or a database`,
    );
  }
  const bytes = entries.reduce((sum, [name, value]) => sum + packedBytes(name, value), 0);
  if (bytes > most.allBytes) {
    throw wrong(
      `the variables are ${kb(bytes)} in all, and an environment can hold ${kb(most.allBytes)}; keep what is large in a file or a database`,
    );
  }
}

/** `position`: which one of those that were given it is, from 1. */
export function checkName(name: string, position: number): void {
  if (!namePattern.test(name)) {
    const shown = /^[\w.-]{1,40}$/.test(name) ? `"${name}"` : `the name of variable ${position}`;
    throw wrong(
      `${shown} is not a name for an environment variable; use A-Z, a-z, 0-9 and _, no digit first`,
    );
  }
  if (name.length > most.nameBytes) {
    throw wrong(
      `the name of variable ${position} is longer than ${most.nameBytes} characters; use a shorter one`,
    );
  }
  const reason = whyReserved(name);
  if (reason !== null) throw wrong(`${name} cannot be set: ${reason}`, { name });
}

function checkValue(name: string, value: string): void {
  if (value.includes("\0")) {
    throw wrong(
      `the value of ${name} holds a NUL character, which no environment can; encode it, such as in base64`,
      {
        name,
      },
    );
  }
  if (Buffer.byteLength(value) > most.valueBytes) {
    throw wrong(
      `the value of ${name} is ${kb(Buffer.byteLength(value))}, and may be ${kb(most.valueBytes)}; keep it in a file or a database`,
      { name },
    );
  }
}

function whyReserved(name: string): string | null {
  if (name === "PORT") return "Maestro gives each instance a free port of its own";
  if (name.startsWith("MAESTRO_"))
    return "names that begin with MAESTRO_ are what Maestro tells the app about itself";
  if (name.startsWith("APPRUNNER_")) return "names that begin with APPRUNNER_ are used to start the app";
  return null;
}

/** In the quotes of a shell, in which the environment travels: a quote takes four characters there. */
const packedBytes = (name: string, value: string) =>
  Buffer.byteLength(name) + Buffer.byteLength(value) + 3 * (value.split("'").length - 1) + 4;

const kb = (bytes: number) => `${Math.ceil(bytes / 1024)} KB`;

const wrong = (message: string, details: { name?: string } = {}) =>
  new MaestroError("BAD_INPUT", message, details);
